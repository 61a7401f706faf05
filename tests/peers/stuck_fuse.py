"""A FUSE file system of one file, spoken over /dev/fuse, that answers until it is told not to."""

import ctypes
import os
import struct
import threading

LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, BATCH_FORGET, INTERRUPT = (
    1, 2, 3, 14, 15, 18, 25, 26, 42, 36)
ROOT, FILE = 1, 2
KEEP_CACHE = 2
ENOENT, ENOSYS = 2, 38
libc = ctypes.CDLL(None, use_errno=True)


class StuckFuse:
    """Mounts `point` with one executable file of `content`, named `name`."""

    def __init__(self, point, name, content):
        self.point, self.name, self.content = point, name.encode(), content
        self.answering = True
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other"
        if libc.mount(b"stuck", point.encode(), b"fuse", 0, options.encode()) != 0:
            number = ctypes.get_errno()
            os.close(self.fd)
            raise OSError(number, os.strerror(number))
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def hang(self):
        """From now on nothing is answered: who asks this file system waits."""
        self.answering = False

    def close(self):
        # Answers again, so that unmounting finds nobody who waits; then reading fails with ENODEV.
        self.answering = True
        libc.umount2(self.point.encode(), 1)  # MNT_FORCE aborts what still waits
        libc.umount2(self.point.encode(), 2)  # MNT_DETACH
        self.thread.join()
        os.close(self.fd)

    def serve(self):
        while True:
            try:
                request = os.read(self.fd, 1 << 20)
            except OSError:
                return
            length, opcode, unique, node = struct.unpack_from("<IIQQ", request)
            if not self.answering or opcode in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            error, body = self.answer(opcode, node, request[40:length])
            os.write(self.fd, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)

    def attributes(self, node):
        mode, size = (0o40755, 0) if node == ROOT else (0o100755, len(self.content))
        return struct.pack("<6Q10I", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def answer(self, opcode, node, body):
        if opcode == INIT:
            return 0, struct.pack("<IIIIHHIIHHI", 7, 31, 1 << 17, 0, 16, 12, 1 << 17, 1, 32, 0, 0) + bytes(28)
        if opcode == LOOKUP:
            if body.rstrip(b"\0") != self.name:
                return ENOENT, b""
            # Valid for no time at all: every stat asks again.
            return 0, struct.pack("<QQQQII", FILE, 0, 0, 0, 0, 0) + self.attributes(FILE)
        if opcode == GETATTR:
            return 0, struct.pack("<QII", 0, 0, 0) + self.attributes(node)
        if opcode == OPEN:
            return 0, struct.pack("<QII", 0, KEEP_CACHE, 0)
        if opcode == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return 0, self.content[offset:offset + size]
        if opcode in (RELEASE, FLUSH):
            return 0, b""
        return ENOSYS, b""
