"""``Netlink``: one netlink socket, synchronous. The kernel's refusal is raised where the request was made.

struct nlmsghdr { __u32 len; __u16 type; __u16 flags; __u32 seq; __u32 pid; };
struct nlmsgerr { int error; struct nlmsghdr msg; };      then, with NETLINK_EXT_ACK, NLMSGERR_ATTR_MSG in words
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from berth.kernel.netlink.wire import STR, U32, Table

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x01
NLM_F_MULTI = 0x02
NLM_F_ACK = 0x04
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200

HEADER = struct.Struct("=IHHII")
_ERRNO = struct.Struct("=i")
_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP = 1
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_ERROR_ATTRS = Table(msg=(1, STR), offs=(2, U32))
_DUMP_TRIES = 5


class NetlinkError(OSError):
    """The kernel's refusal: ``errno``, its text, and the kernel's own words where it gave any (``detail``)."""

    def __init__(self, code: int, detail: str = "") -> None:
        text = os.strerror(code)
        super().__init__(code, f"{text}: {detail}" if detail else text)
        self.detail = detail
        self.index = 0  # which of the requests asked together


class Request(NamedTuple):
    """A message still without sequence number: type, flags beyond REQUEST, and what follows the header."""

    type: int
    flags: int
    body: bytes


class Message(NamedTuple):
    """A message that came back."""

    type: int
    flags: int
    seq: int
    body: bytes


def messages(raw: bytes) -> Iterator[Message]:
    """The messages of one datagram."""
    at = 0
    while at + HEADER.size <= len(raw):
        length, kind, flags, seq, _pid = HEADER.unpack_from(raw, at)
        if length < HEADER.size:
            return
        yield Message(kind, flags, seq, raw[at + HEADER.size : at + length])
        at += (length + 3) & ~3


class Netlink:
    """A socket of our own, or (``fd``) a duplicate of one that was opened in another network namespace.

    One thread at a time. Raises: NetlinkError from every call that asks the kernel for something.
    """

    def __init__(self, protocol: int = NETLINK_ROUTE, *, fd: int | None = None) -> None:
        if fd is None:
            self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        else:
            self.sock = socket.socket(fileno=os.dup(fd))
            self.sock.setblocking(True)
        self._seq = int.from_bytes(os.urandom(3), "big")
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            try:
                self.sock.setsockopt(_SOL_NETLINK, option, 1)
            except OSError:
                pass  # kernels before 4.20: errors without words, dumps unfiltered

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def port_id(self) -> int:
        """The socket's address: what the kernel calls the sender of what we ask."""
        self._bind()
        return int(self.sock.getsockname()[0])

    def _bind(self) -> None:
        if not self.sock.getsockname()[0]:
            self.sock.bind((0, 0))

    def subscribe(self, group: int) -> None:
        """Receive the notifications of a multicast group.

        A socket without an address of its own hears nothing of nftables: those are sent "by" address 0.
        """
        self._bind()
        self.sock.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)

    def ask(self, *requests: Request) -> None:
        """Do the requests in order, in one datagram. All are tried; the first refusal is raised, with its index.

        Only the last is acknowledged when all is well: a refusal always comes back by itself.
        """
        first, datagram = self.frame((*requests[:-1], requests[-1]._replace(flags=requests[-1].flags | NLM_F_ACK)))
        self.sock.send(datagram)
        last = first + len(requests) - 1
        refusal: NetlinkError | None = None
        while True:
            for seq, refused in self.answers():
                if not first <= seq <= last:
                    continue
                if refused is not None:
                    refused.index = seq - first
                refusal = refusal or refused
                if seq == last:
                    if refusal is not None:
                        raise refusal
                    return

    def answers(self) -> list[tuple[int, NetlinkError | None]]:
        """The acknowledgements (None) and refusals of the next datagram, each with its request's number."""
        return [(m.seq, _refusal(m)) for m in messages(self.sock.recv(16384)) if m.type == NLMSG_ERROR]

    def get(self, request: Request) -> Message:
        """The one message that answers a GET."""
        seq, datagram = self.frame((request,))
        self.sock.send(datagram)
        while True:
            for message in messages(self.sock.recv(65536)):
                if message.seq != seq:
                    continue
                if message.type == NLMSG_ERROR:
                    raise _refusal(message) or NetlinkError(errno.ENODATA)
                return message

    def dump(self, request: Request) -> list[Message]:
        """Every message of a dump; tried again when the kernel says that the picture changed meanwhile."""
        for _ in range(_DUMP_TRIES):
            found, torn = self._dump(request)
            if not torn:
                break
        return found

    def _dump(self, request: Request) -> tuple[list[Message], bool]:
        seq, datagram = self.frame((Request(request.type, request.flags | NLM_F_DUMP, request.body),))
        self.sock.send(datagram)
        found: list[Message] = []
        torn = False
        while True:
            for message in messages(self.sock.recv(1 << 18)):
                if message.seq != seq:
                    continue
                torn = torn or bool(message.flags & NLM_F_DUMP_INTR)
                if message.type == NLMSG_ERROR:
                    raise _refusal(message) or NetlinkError(errno.ENODATA)
                if message.type == NLMSG_DONE:
                    code = _ERRNO.unpack_from(message.body)[0] if len(message.body) >= 4 else 0
                    if code < 0:
                        raise NetlinkError(-code)
                    return found, torn
                found.append(message)

    def frame(self, requests: Sequence[Request]) -> tuple[int, bytes]:
        """The number of the first request, and all of them as one datagram."""
        first = self._seq + 1
        self._seq += len(requests)
        parts = []
        for seq, (kind, flags, body) in enumerate(requests, start=first):
            head = HEADER.pack(HEADER.size + len(body), kind, flags | NLM_F_REQUEST, seq, 0)
            parts.append(head + body + b"\0" * (-len(body) & 3))
        return first, b"".join(parts)


def _refusal(message: Message) -> NetlinkError | None:
    """The error that an NLMSG_ERROR carries; None for an acknowledgement."""
    code = -_ERRNO.unpack_from(message.body)[0]
    if code == 0:
        return None
    detail = ""
    if message.flags & NLM_F_ACK_TLVS:
        at = _ERRNO.size + HEADER.size
        if not message.flags & NLM_F_CAPPED:
            at = _ERRNO.size + int(HEADER.unpack_from(message.body, _ERRNO.size)[0])
        detail = str(_ERROR_ATTRS.decode(message.body, (at + 3) & ~3).get("msg", ""))
    return NetlinkError(code, detail)
