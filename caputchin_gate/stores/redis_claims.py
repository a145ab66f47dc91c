"""What is said to Redis, and what the answers mean: scripts, and conversations that yield commands and get replies.

Nothing here waits or connects; `redis.py` carries the commands over, blocking or on an event loop. Each operation is
one script on one key, so it is atomic, one round trip, and at home on one node of a cluster.

What a server may do to claims, and what the script does about it:

- Claims have no expiry of Redis', which would go by the server's clock and leave no trace. The script removes what is
  over by the clock of the gates, and remembers the end of what it removed: a clock that was set back before this
  *horizon* wins nothing (threats.md R33). For the same reason no `volatile-*` eviction takes them.
- `allkeys-*` eviction would take them (R31): such a server is not used.
- A server that was restarted may have lost claims: the last second or two of an append-only file, all after the last
  snapshot, or all. They carry the run id of the server process that they are known to be complete in. When another
  one answers, the store is *blind* to what happened before that started: keys that may have existed then are lost,
  for as long as a claim lives. A replica that takes over lacks what the old server had not sent to it, and when it
  took over it does not say: the store is blind to what happened before it is first asked. An empty server is taken
  for a new one by a process that did not know it before.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

from caputchin_gate.effects import ClaimResult, Counted, Held
from caputchin_gate.stores import GRACE, LONGEST_CLAIM, WAITED

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Command:
    """part: which part of the keys it is about; all keys of a part are on one node of a cluster."""

    part: int
    words: tuple[str | bytes | int | float, ...]


Conversation: TypeAlias = Generator[Command, object, T]

NO_SCRIPT: Final = object()  # the reply of a server that doesn't know a script by its digest

_OUTLIVES: Final = GRACE + 60.0  # seconds a record outlives its end: two machines may be a minute apart
_CLUSTER_PARTS: Final = 16


class Unfit(Exception):
    """The server must not be trusted with claims. The text says why, and what to do."""


class OutOfStep(Exception):
    """A reply belongs to another command: this connection is of no use any more."""


class _Script:
    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def run(self, part: int, key: str, *arguments: str | bytes | float) -> Conversation[object]:
        reply = yield Command(part, ("EVALSHA", self._digest, 1, key, *arguments))
        if reply is NO_SCRIPT:
            reply = yield Command(part, ("EVAL", self._text, 1, key, *arguments))
        return reply


# A sorted set: claims by their end. Not above zero stands what is known about the set: the run ids it is complete in
# at zero, times negated.
_CLAIM: Final = _Script(
    """
local member, known = '=' .. ARGV[1], ARGV[2]
local now, born, longest, ends = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local server = redis.call('INFO', 'server')
local run = string.match(server, 'run_id:(%w+)')
local emptied = 0

local function facts()
  return redis.call('ZMSCORE', KEYS[1], 'run:' .. run, 'horizon', 'blind', 'blind until', member)
end

local function is_before(time, fact)
  return fact and time < -tonumber(fact)
end

local found = facts()
if not found[1] or (known ~= '' and known ~= run) then
  local memory = redis.call('INFO', 'memory')
  if string.find(memory, 'maxmemory_policy:allkeys') and not string.find(memory, 'maxmemory:0%s') then
    return {'evicts', ARGV[1], run, 0}
  end
  local runs = redis.call('ZCOUNT', KEYS[1], 0, 0)
  local promoted = not string.find(redis.call('INFO', 'replication'), 'second_repl_offset:-1%s')
  local blind
  if known ~= '' and runs == 0 then
    emptied = 1
  end
  if (emptied == 1 and known == run) or (promoted and (known ~= '' or runs > 0)) then
    blind = now
  elseif (known ~= '' and known ~= run) or (runs > 0 and not found[1]) then
    -- Of the uptime, both ends were cut to whole seconds.
    blind = now - math.max(0, tonumber(string.match(server, 'uptime_in_seconds:(%d+)')) - 1)
  end
  redis.call('ZADD', KEYS[1], 0, 'run:' .. run)
  if blind then
    blind = blind + WAITED
    redis.call('ZADD', KEYS[1], 'LT', -blind, 'blind', -(blind + longest), 'blind until')
  end
  found = facts()
end

local unseen = is_before(born, found[3]) and (born > 0 or is_before(now, found[4]))
local lost = found[5] or is_before(now, found[2]) or unseen
if lost or not ends then
  return {lost and 'lost' or 'free', ARGV[1], run, emptied}
end
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '(0', now - OUTLIVES, 'WITHSCORES', 'LIMIT', 0, 8)
for place = 1, #over, 2 do
  redis.call('ZREM', KEYS[1], over[place])
end
if #over > 0 then
  redis.call('ZADD', KEYS[1], 'LT', '-' .. over[#over], 'horizon')
end
redis.call('ZADD', KEYS[1], ARGV[6], member)
return {'won', ARGV[1], run, emptied}
""".replace("WAITED", f"{WAITED:g}").replace("OUTLIVES", f"{_OUTLIVES:g}")
)

# A counter may be forgotten or evicted: it only makes challenges harder. Its window goes by the clock of the gates.
_COUNT: Final = _Script("""
local now, window, times = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local found = redis.call('HMGET', KEYS[1], 'count', 'end')
local count, ends = tonumber(found[1] or 0), tonumber(found[2] or 0)
if ends <= now then
  count, ends = 0, now + window
end
ends = string.format('%.17g', math.min(ends, now + window))
if times > 0 then
  redis.call('HSET', KEYS[1], 'count', count + times, 'end', ends)
  redis.call('PEXPIRE', KEYS[1], math.ceil(2000 * window))
end
return {'counted', ARGV[3], count + times, ends}
""")

# A record may be forgotten or evicted too. No value is empty, so an empty one is none.
_SWAP: Final = _Script(
    """
local now, ends, old, new = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local found = redis.call('HMGET', KEYS[1], 'value', 'end')
local value = found[1] and tonumber(found[2]) > now and found[1] or ''
if value ~= old then
  return {'held', ARGV[5], value, 0}
end
redis.call('HSET', KEYS[1], 'value', new, 'end', ARGV[2])
redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * math.max(1, ends - now + OUTLIVES)))
return {'held', ARGV[5], new, 1}
""".replace("OUTLIVES", f"{_OUTLIVES:g}")
)


@dataclass(slots=True)
class Memory:
    """What one process knows of the store it shares."""

    parts: int
    runs: dict[int, bytes] = field(default_factory=dict)  # the run id that answered last, for each part
    longest: float = LONGEST_CLAIM
    signing_key: bytes | None = None


def memory_of(*, cluster: bool) -> Memory:
    return Memory(_CLUSTER_PARTS if cluster else 1)


def claiming(memory: Memory, key: bytes, until: float, now: float, born: float) -> Conversation[ClaimResult]:
    memory.longest = max(memory.longest, until - now)
    answer = yield from _claim(memory, key, now, born, until)
    return ClaimResult.WON if answer == b"won" else ClaimResult.LOST


def asking(memory: Memory, key: bytes, now: float, born: float = 0.0) -> Conversation[bool]:
    """Whether a claim would be lost."""
    answer = yield from _claim(memory, key, now, born, "")
    return answer == b"lost"


def _claim(memory: Memory, key: bytes, now: float, born: float, until: float | str) -> Conversation[bytes]:
    part = _part(memory, key)
    known = memory.runs.get(part, b"")
    reply = yield from _CLAIM.run(part, _name(part, "claims"), key, known, now, born, memory.longest, until)
    match reply:
        case [b"evicts", bytes(), bytes(), int()]:
            raise Unfit(
                "it evicts any key when it is full (maxmemory-policy allkeys-*): set noeviction or volatile-ttl"
            )
        case [(b"won" | b"lost" | b"free") as answer, bytes() as echo, bytes() as run, int() as emptied] if echo == key:
            memory.runs[part] = run
        case _:
            raise OutOfStep
    if emptied and memory.signing_key is not None:
        yield Command(0, ("SET", _SIGNING_KEY, memory.signing_key, "NX"))
    return answer


def counting(memory: Memory, key: bytes, window: float, now: float, times: int) -> Conversation[Counted]:
    part = _part(memory, key)
    reply = yield from _COUNT.run(part, _name(part, f"count:{key.hex()}"), now, window, key, times)
    match reply:
        case [b"counted", bytes() as echo, int() as count, bytes() as ends_at] if echo == key:
            return Counted(count, float(ends_at))
        case _:
            raise OutOfStep


def swapping(memory: Memory, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Conversation[Held]:
    part = _part(memory, key)
    reply = yield from _SWAP.run(part, _name(part, f"record:{key.hex()}"), now, until, old or b"", new, key)
    match reply:
        case [b"held", bytes() as echo, bytes() as value, int() as swapped] if echo == key:
            return Held(value or None, swapped == 1)
        case _:
            raise OutOfStep


def _part(memory: Memory, key: bytes) -> int:
    return zlib.crc32(key) % memory.parts


def _name(part: int, name: str) -> str:
    return f"caputchin-gate:{{{part}}}:{name}"  # what is in braces tells the node of a cluster


_SIGNING_KEY: Final = _name(0, "signing-key")


def sharing_signing_key(memory: Memory, fresh: bytes) -> Conversation[bytes]:
    """The key that all share: `fresh` if there is none yet."""
    yield Command(0, ("SET", _SIGNING_KEY, fresh, "NX"))
    match (yield Command(0, ("GET", _SIGNING_KEY))):
        case bytes() as key if len(key) == len(fresh):
            memory.signing_key = key
            return key
        case _:
            raise Unfit(f"its key {_SIGNING_KEY} is not a signing key: remove it, or name another database")
