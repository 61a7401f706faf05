import hashlib, re, sys  # noqa: E401

prev, seq = "0" * 64, 0
for number, line in enumerate(open(sys.argv[1], "rb"), 1):
    body, _, tail = line.rpartition(b',"hash":"')
    head = re.match(rb'\{"prev":"([0-9a-f]{64})","seq":(\d+),', body)
    digest = hashlib.sha256(body).hexdigest()
    if not head or tail != digest.encode() + b'"}\n' or (head[1].decode(), int(head[2])) != (prev, seq + 1):
        sys.exit(f"line {number} breaks the chain")
    prev, seq = digest, seq + 1
