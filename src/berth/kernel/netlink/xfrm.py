"""IPsec over netlink: security associations (states) and policies. ESP in transport mode with AES-GCM, what overlays need.

struct xfrm_selector        { daddr[16] saddr[16] be16 dport, dport_mask, sport, sport_mask; u16 family;
                              u8 prefixlen_d, prefixlen_s, proto; int ifindex; u32 user; }                          56 bytes
struct xfrm_usersa_info     { selector; daddr[16] be32 spi, u8 proto; saddr[16]; u64 limits[8], used[4]; u32 stats[3], seq, reqid;
                              u16 family; u8 mode, replay_window, flags; }                                         224
struct xfrm_userpolicy_info { selector; u64 limits[8], used[4]; u32 priority, index; u8 dir, action, flags, share; }    168
struct xfrm_user_tmpl       { daddr[16] be32 spi, u8 proto; u16 family; saddr[16]; u32 reqid; u8 mode, share, optional;
                              u32 aalgos, ealgos, calgos; }                                                         64

Spec: linux/xfrm.h, RFC 4303 (ESP), RFC 4106 (AES-GCM).
"""

from __future__ import annotations

import errno
import os
import struct
from typing import NamedTuple

from berth.kernel.netlink import filters
from berth.kernel.netlink.sock import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Message, Netlink, Request
from berth.kernel.netlink.wire import attr, attrs, pack_ip, unpack_ip

NETLINK_XFRM = 6
NEWSA, DELSA, GETSA, NEWPOLICY, DELPOLICY, GETPOLICY, UPDPOLICY = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x19
FLUSHSA, FLUSHPOLICY = 0x1C, 0x1D
IN, OUT = 0, 1
KEY_BYTES = 36
"""AES-256 and the salt of its nonces."""

_GROUP_STATES, _GROUP_POLICIES = 3, 4
_TMPL, _ALG_AEAD, _REPLAY_ESN = 5, 18, 23
_ESP, _UDP, _TRANSPORT = 50, 17, 0
_ALLOW, _BLOCK = 0, 1
_STATE_ESN = 0x80
_REPLAY_WORDS = 32
_UNLIMITED = (0xFFFFFFFFFFFFFFFF,) * 4 + (0,) * 4
_AF = {4: 2, 16: 10}

_SELECTOR = struct.Struct("=16s16s2s2s2s2sHBBB3xiI")
_STATE = struct.Struct("=56s16s4sB3x16s8Q4Q3IIIHBBB7x")
_STATE_ID = struct.Struct("=16s4sHBx")
_POLICY = struct.Struct("=56s8Q4QIIBBBB4x")
_POLICY_ID = struct.Struct("=56sIB3x")
_TEMPLATE = struct.Struct("=16s4sB3xH2x16sIBBBxIII")
_AEAD = struct.Struct("=64sII")
_ESN = struct.Struct("=6I")


class State(NamedTuple):
    """What goes from one address to another under one SPI, and its key (KEY_BYTES; b"" as the kernel lists it)."""

    src: str
    dst: str
    spi: int
    reqid: int
    key: bytes = b""


class Policy(NamedTuple):
    """UDP to a port. With ``reqid`` it goes by ESP between ``src`` and ``dst``, under ``spi`` (0 for any); without it is dropped.

    Addresses are "" for any, of the IP version ``version``.
    """

    direction: int
    port: int
    priority: int
    src: str = ""
    dst: str = ""
    reqid: int = 0
    spi: int = 0
    version: int = 4


def open_xfrm() -> Netlink:
    """Raises: OSError (EPROTONOSUPPORT: this kernel has no IPsec)."""
    return Netlink(NETLINK_XFRM)


def watch_removals() -> Netlink:
    """A socket, not blocking, that becomes readable when states or policies went away. Raises: OSError."""
    nl = open_xfrm()
    nl.sock.setblocking(False)
    filters.only_types(nl.sock, (DELSA, DELPOLICY, FLUSHSA, FLUSHPOLICY))
    for group in (_GROUP_STATES, _GROUP_POLICIES):
        nl.subscribe(group)
    return nl


def has_esp(version: int = 4) -> bool:
    """Whether this kernel encrypts with ESP and AES-GCM: a state is made and taken away again."""
    here = "127.0.0.1" if version == 4 else "::1"
    probe = State(here, here, int.from_bytes(os.urandom(4), "big") | 0x100, 0, os.urandom(KEY_BYTES))
    try:
        with open_xfrm() as nl:
            nl.ask(add_state(probe))
            nl.ask(delete_state(probe))
    except OSError as err:
        if err.errno in (errno.EPERM, errno.EACCES):
            raise
        return False
    return True


def add_state(state: State) -> Request:
    """The request for a state with extended sequence numbers. Raises (when asked): EEXIST, EPROTONOSUPPORT, ENOSYS."""
    src, dst = pack_ip(state.src), pack_ip(state.dst)
    none = _SELECTOR.pack(b"", b"", b"", b"", b"", b"", _AF[len(src)], 0, 0, 0, 0, 0)
    body = _STATE.pack(
        none, dst, state.spi.to_bytes(4, "big"), _ESP, src, *_UNLIMITED, *(0,) * 4, *(0,) * 3, 0, state.reqid, _AF[len(src)],
        _TRANSPORT, 0, _STATE_ESN,
    )  # fmt: skip
    aead = _AEAD.pack(b"rfc4106(gcm(aes))", len(state.key) * 8, 128) + state.key
    esn = _ESN.pack(_REPLAY_WORDS, 0, 0, 0, 0, _REPLAY_WORDS * 32) + bytes(4 * _REPLAY_WORDS)
    return Request(NEWSA, NLM_F_CREATE | NLM_F_EXCL, body + attr(_ALG_AEAD, aead) + attr(_REPLAY_ESN, esn))


def delete_state(state: State) -> Request:
    """The request that takes a state away. Raises (when asked): ESRCH."""
    dst = pack_ip(state.dst)
    return Request(DELSA, 0, _STATE_ID.pack(dst, state.spi.to_bytes(4, "big"), _AF[len(dst)], _ESP))


def list_states(nl: Netlink) -> list[State]:
    """Every state of ESP, without keys. What the kernel only wishes for (no SPI yet) is none."""
    found = []
    for message in nl.dump(Request(GETSA, 0, b"")):
        if message.type != NEWSA:
            continue
        fields = _STATE.unpack_from(message.body)
        family = fields[22]
        if fields[3] == _ESP and any(fields[2]):
            found.append(
                State(_ip(fields[4], family), _ip(fields[1], family), int.from_bytes(fields[2], "big"), fields[21])
            )
    return found


def set_policy(policy: Policy) -> Request:
    """The request for a policy, new or in place of one with the same selector."""
    action = _ALLOW if policy.reqid else _BLOCK
    body = _POLICY.pack(_selector(policy), *_UNLIMITED, *(0,) * 4, policy.priority, 0, policy.direction, action, 0, 0)
    if policy.reqid:
        body += attr(_TMPL, _template(policy))
    return Request(UPDPOLICY, NLM_F_REPLACE, body)


def delete_policy(policy: Policy) -> Request:
    """The request that takes a policy away. Raises (when asked): ENOENT."""
    return Request(DELPOLICY, 0, _POLICY_ID.pack(_selector(policy), 0, policy.direction))


def list_policies(nl: Netlink, port: int) -> list[Policy]:
    """The policies for UDP to a port."""
    return [
        p for m in nl.dump(Request(GETPOLICY, 0, b"")) if m.type == NEWPOLICY and (p := _policy(m)) and p.port == port
    ]


def _selector(policy: Policy) -> bytes:
    src, dst = (pack_ip(a) if a else b"" for a in (policy.src, policy.dst))
    size = {4: 4, 6: 16}[policy.version]
    return _SELECTOR.pack(
        dst,
        src,
        policy.port.to_bytes(2, "big"),
        b"\xff\xff",
        b"",
        b"",
        _AF[size],
        len(dst) * 8,
        len(src) * 8,
        _UDP,
        0,
        0,
    )


def _template(policy: Policy) -> bytes:
    src, dst, every = pack_ip(policy.src), pack_ip(policy.dst), 0xFFFFFFFF
    return _TEMPLATE.pack(
        dst,
        policy.spi.to_bytes(4, "big"),
        _ESP,
        _AF[len(dst)],
        src,
        policy.reqid,
        _TRANSPORT,
        0,
        0,
        every,
        every,
        every,
    )


def _policy(message: Message) -> Policy | None:
    fields = _POLICY.unpack_from(message.body)
    dst, src, port, _mask, _sport, _smask, family, dst_len, src_len, proto, *_rest = _SELECTOR.unpack(fields[0])
    if proto != _UDP:
        return None
    template = next((raw for number, raw in attrs(message.body, _POLICY.size) if number == _TMPL), None)
    spi, reqid = 0, 0
    if template is not None:
        parts = _TEMPLATE.unpack_from(template)
        spi, reqid = int.from_bytes(parts[1], "big"), parts[5]
    return Policy(
        fields[15], int.from_bytes(port, "big"), fields[13], _ip(src, family) if src_len else "",
        _ip(dst, family) if dst_len else "", reqid, spi, 4 if family == _AF[4] else 6,
    )  # fmt: skip


def _ip(raw: bytes, family: int) -> str:
    return unpack_ip(raw[:4] if family == _AF[4] else raw)
