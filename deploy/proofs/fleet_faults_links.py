"""The network between the processes of a fleet: one process of TCP proxies that delay, hold, reset or refuse what
passes.

Each node reaches each member of etcd by a port of its own. The members reach each other by one port for each member,
since all of them must name the same addresses; whose connection it is, /proc says, by the owner of the socket.

A link is an ordered pair of names, and has the bytes that go from the one to the other. Bytes that a proxy has read
before its link was held still arrive, as they would behind a router that fails. What is held arrives late when the link
is released, or never when its connections are reset.
"""

import asyncio
import collections
import ctypes
import multiprocessing
import os
import random
import signal
import socket
import struct
from pathlib import Path

PIECE_BYTES, PIECES_MAX = 65_536, 64
ANSWER_SECONDS = 10
PR_SET_PDEATHSIG = 1


def become_part_of_proof():
    """In a process of the proof: it ends with the one that started it, which alone is told of Ctrl-C and SIGTERM."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    random.seed()


def both_ways(ones, others):
    """The links between any of `ones` and any of `others`."""
    return [pair for one in ones for other in others if one != other for pair in ((one, other), (other, one))]


def one_way(ones, others):
    return [(one, other) for one in ones for other in others if one != other]


class Network:
    """The side of whoever injects the faults."""

    def __init__(self, nodes, members):
        self._listeners = {}
        for destination in members:
            for source in [*nodes, None]:
                listener = socket.socket()
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", 0))
                self._listeners[source, destination] = listener
        self._ports = {pair: listener.getsockname()[1] for pair, listener in self._listeners.items()}
        self._process = self._pipe = None

    def port(self, source, member):
        """By which a node reaches a member; `None`: by which other members do."""
        return self._ports[source, member]

    def start(self, targets):
        """- targets: the port for nodes and the port for members of each member."""
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_run, args=(self._listeners, targets, theirs, self._pipe), daemon=True)
        self._process.start()
        theirs.close()
        for listener in self._listeners.values():
            listener.close()

    def _tell(self, *command):
        self._pipe.send(command)
        if not self._pipe.poll(ANSWER_SECONDS):
            raise RuntimeError("the proxies do not answer")
        return self._pipe.recv()

    def hold(self, links):
        """No more bytes pass until they are released or reset."""
        self._tell("hold", links)

    def release(self, links):
        """What was held arrives now."""
        self._tell("release", links)

    def reset(self, links):
        """Ends all connections of these links, with what is in them, and lets new ones pass."""
        self._tell("reset", links)

    def refuse(self, links):
        """Ends them, and refuses new ones until they are released."""
        self._tell("refuse", links)

    def delay(self, links, seconds, jitter=0.0):
        """Each piece arrives that much later, in order; 0: no more."""
        self._tell("delay", links, seconds, jitter)

    def heal(self):
        """Ends all of this."""
        self._tell("heal")

    def own(self, processes):
        """- processes: the process id of each member, which says whose connections to other members are."""
        self._tell("own", processes)

    def close(self):
        if self._process:
            self._process.kill()
            self._process.join()


class Link:
    __slots__ = ("opened", "refuses", "seconds", "jitter", "due")

    def __init__(self):
        self.opened = asyncio.Event()
        self.opened.set()
        self.refuses, self.seconds, self.jitter = False, 0.0, 0.0

    def latency(self):
        return self.seconds + (random.uniform(0, self.jitter) if self.jitter else 0)


def _run(listeners, targets, pipe, theirs):
    theirs.close()
    become_part_of_proof()
    asyncio.run(_Proxies(listeners, targets, pipe).run())


class _Proxies:
    """The side that carries the bytes."""

    def __init__(self, listeners, targets, pipe):
        self.listeners, self.targets, self.pipe = listeners, targets, pipe
        self.links = collections.defaultdict(Link)
        self.connections = collections.defaultdict(set)
        self.processes = {}
        self.over = None

    async def run(self):
        self.over = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.pipe.fileno(), self.obey)
        servers = [
            await asyncio.start_server(self.accepted(source, destination), sock=listener)
            for (source, destination), listener in self.listeners.items()]
        await self.over.wait()
        for server in servers:
            server.close()

    def obey(self):
        try:
            name, *arguments = self.pipe.recv()
        except EOFError:
            return self.over.set()
        self.pipe.send(getattr(self, name)(*arguments))

    # Commands

    def hold(self, links):
        for pair in links:
            self.links[pair].opened.clear()

    def release(self, links):
        for pair in links:
            self.links[pair].refuses = False
            self.links[pair].opened.set()

    def reset(self, links):
        for one, other in links:
            for pair in (one, other), (other, one):
                for connection in list(self.connections[pair]):
                    connection.abort()
        self.release(links)

    def refuse(self, links):
        self.reset(links)
        for pair in links:
            self.links[pair].refuses = True

    def delay(self, links, seconds, jitter):
        for pair in links:
            self.links[pair].seconds, self.links[pair].jitter = seconds, jitter

    def heal(self):
        for link in self.links.values():
            link.refuses, link.seconds, link.jitter = False, 0.0, 0.0
            link.opened.set()

    def own(self, processes):
        self.processes = processes

    # Connections

    def accepted(self, source, destination):
        is_member = source is None

        async def serve(reader, writer):
            name = self.owner(writer) if is_member else source
            connection = Connection(reader, writer)
            if name is None or self.links[name, destination].refuses:
                return connection.abort()
            # At once, so that a reset ends one whose other half is not there yet.
            held = self.connections[name, destination]
            held.add(connection)
            try:
                await connection.reach(self.targets[destination][is_member])
                await self.carry_both(connection, self.links[name, destination], self.links[destination, name])
            except OSError:
                connection.abort()
            finally:
                held.discard(connection)
                connection.close()
        return serve

    def owner(self, writer):
        """The member whose connection this is."""
        port, here = writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1]
        wanted = f"0100007F:{port:04X}", f"0100007F:{here:04X}"
        for table in "tcp", "tcp6":
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if tuple(field[-13:] for field in fields[1:3]) == wanted:
                    return self.holder(f"socket:[{fields[9]}]")
        return None

    def holder(self, inode):
        for name, process in self.processes.items():
            try:
                if any(os.readlink(entry.path) == inode for entry in os.scandir(f"/proc/{process}/fd")):
                    return name
            except OSError:
                continue  # It has ended, or closed that file.
        return None

    async def carry_both(self, connection, there, back):
        """Until both ends have ended, or an error. An end that has gone to the other side is no error."""
        tasks = []
        for reader, writer, link in (
            (connection.reader, connection.further_writer, there), (connection.further_reader, connection.writer, back),
        ):
            pieces = asyncio.Queue(PIECES_MAX)
            tasks.append(asyncio.ensure_future(take(reader, pieces, link)))
            tasks.append(asyncio.ensure_future(deliver(pieces, writer)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, OSError):
                    raise result


async def take(reader, pieces, link):
    """A piece waits where its link is held, and then for its latency. The last one is empty."""
    piece = b"begin"
    while piece:
        piece = await reader.read(PIECE_BYTES)
        while not link.opened.is_set():
            await link.opened.wait()
        await pieces.put((asyncio.get_running_loop().time() + link.latency(), piece))


async def deliver(pieces, writer):
    while True:
        due, piece = await pieces.get()
        if (wait := due - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(wait)
        if not piece:
            return writer.write_eof()
        writer.write(piece)
        await writer.drain()


class Connection:
    """Both halves of one that is carried."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.further_reader = self.further_writer = None
        self.is_over = False

    async def reach(self, port):
        self.further_reader, self.further_writer = await asyncio.open_connection("127.0.0.1", port)
        if self.is_over:
            # Reset meanwhile.
            self.further_writer.transport.abort()
            raise ConnectionResetError

    def abort(self):
        """Both ends get a reset."""
        for writer in self.writer, self.further_writer:
            if writer and (carrier := writer.get_extra_info("socket")) and not self.is_over:
                try:
                    carrier.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                except OSError:
                    pass
                writer.transport.abort()
        self.is_over = True

    def close(self):
        """Both ends get what has been written, and the end."""
        for writer in self.writer, self.further_writer:
            if writer and not self.is_over:
                writer.close()
        self.is_over = True
