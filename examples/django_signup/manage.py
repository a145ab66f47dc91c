"""A club's site: members sign up, comment, and log in; all three ask for a captcha. Nothing but Django is needed.

pip install caputchin-gate django
python manage.py migrate
python manage.py createsuperuser
python manage.py runserver
"""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "club.settings")
execute_from_command_line(sys.argv)
