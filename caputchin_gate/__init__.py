"""Guards the POST routes of web applications with a captcha, verified upstream or in process."""

__version__ = "0.1.0"
