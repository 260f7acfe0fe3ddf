"""Files that the safetensors library accepts or rejects, and one that it wrote."""
import json
import random
import struct

import safetensors
import torch
from safetensors.torch import save_file

GOOD = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"k":"v"},"b":{"dtype":"I16","shape":[1,2],"data_offsets":[8,12]}}'

# What a mutation puts in place of a token of GOOD.
TOKENS = [
    "{", "}", "[", "]", ",", ":", "null", "true", '""', '"a"', '"b"', '"F32"', '"BF16"', '"U8"', '"F4"', '"f32"', '"shape"',
    '"dtype"', '"data_offsets"', '"__metadata__"', '"\\u0061"', '"\\ud800"', '"\xe9"', "0", "1", "2", "4", "8", "12", "-1", "-0",
    "1.0", "1e1", "01", "0x1", "9223372036854775808", "18446744073709551615", "18446744073709551616", " ", "\t", "\n", "\v",
    "\0", "\ufeff", "/**/", "NaN", "[[0,8]]", "{}", "[]",
]  # fmt: skip


def file_of(header, data=12, length=None):
    header = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + b"*" * data


def probes():
    """Each rule of the format, once kept and once broken."""
    entry = '"dtype":"F32","shape":[2],"data_offsets":[0,8]'
    yield from (b"", b"1234567", file_of(GOOD), file_of(GOOD, 11), file_of(GOOD, 13), file_of("{}", 0), file_of("", 0))
    yield from (file_of("{}", 0, length) for length in (1, 3, 100_000_001, 2**63, 2**64 - 8, 2**64 - 1))
    for header in (
        b"\xff", b'{"\xff":1}', b"\xef\xbb\xbf{}", b"{}\0", b"{} ", b" {}", b"{}x", b"[]", b"7", b'"a"', b"null", b"{/**/}", b"{,}",
        b'{"__metadata__":null}', b'{"__metadata__":{}}', b'{"__metadata__":{"a":1}}', b'{"__metadata__":[]}',
        b'{"__metadata__":{"a":"b","a":"c"}}', b'{"__metadata__":{},"__metadata__":{}}', b'{"__metadata__":{"a":null}}',
    ):  # fmt: skip
        yield file_of(header, 0)
    for header in (
        "{%s}", '{%s,"more":[1,{"x":null}]}', '{%s,"more":1,"more":2}', '{%s,"shape":[2]}', '{"x":1,%s}', "[%s]", "%s",
    ):  # fmt: skip
        yield file_of('{"a":' + header % entry + "}", 8)
        yield file_of('{"":' + header % entry + "}", 8)
    yield file_of('{"a":["F32",[2],[0,8]]}', 8)
    for dtype, size in (("F8_E5M2", 1), ("F8_E4M3", 1), ("F8_E8M0", 1), ("U16", 2), ("C64", 8), ("F4", 1), ("F6_E2M3", 1), ("U64", 8), ("F128", 16)):
        yield file_of('{"a":{"dtype":"%s","shape":[8],"data_offsets":[0,%d]}}' % (dtype, 8 * size), 8 * size)
    for shape, offsets, data in (
        ("[]", "[0,4]", 4), ("[0]", "[0,0]", 0), ("[0,18446744073709551615]", "[0,0]", 0), ("[4294967296,4294967296]", "[0,0]", 0),
        ("[4611686018427387904]", "[0,0]", 0), ("[2]", "[8,0]", 8), ("[2]", "[1,9]", 9), ("[2]", "[0,8,8]", 8), ("[2]", "[8]", 8),
        ("[2]", "[0,18446744073709551615]", 8), ("[2.0]", "[0,8]", 8), ("[-2]", "[0,8]", 8), ('["2"]', "[0,8]", 8), ("null", "[0,8]", 8),
    ):  # fmt: skip
        yield file_of('{"a":{"dtype":"F32","shape":%s,"data_offsets":%s}}' % (shape, offsets), data)


def mutation(source):
    """A good file with one or two tokens of its header replaced, inserted or dropped, or bytes changed."""
    tokens = list(json_tokens(GOOD))
    for _ in range(source.choice((1, 1, 2))):
        place = source.randrange(len(tokens))
        match source.randrange(4):
            case 0:
                tokens[place] = source.choice(TOKENS)
            case 1:
                tokens.insert(place, source.choice(TOKENS))
            case 2:
                del tokens[place]
            case 3:
                other = source.randrange(len(tokens))
                tokens[place], tokens[other] = tokens[other], tokens[place]
    file = bytearray(file_of("".join(tokens)))
    if source.random() < 0.3:
        file[source.randrange(len(file))] ^= 1 << source.randrange(8)
    return bytes(file)


def json_tokens(text):
    start = 0
    while start < len(text):
        end = start + 1
        if text[start] == '"':
            end = text.index('"', end) + 1
        elif text[start].isdigit():
            while text[end].isdigit():
                end += 1
        yield text[start:end]
        start = end


def is_accepted(file):
    try:
        safetensors.deserialize(file)
        return True
    except safetensors.SafetensorError:
        return False


def generate(folder, seed):
    source = random.Random(seed)
    files = [*probes(), *(mutation(source) for _ in range(300))]
    cases = [{"file": file.hex(), "accepted": is_accepted(file)} for file in files]
    text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (folder / "safetensors_cases.json").write_text(f"[\n{text}\n]\n")
    torch.manual_seed(seed)
    dtypes = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool)
    tensors = {str(dtype): torch.randint(0, 2, (2, 3)).to(dtype) for dtype in dtypes}
    tensors |= {'quo"ted pi\xf1ata': torch.randn(()), "empty": torch.zeros(3, 0)}
    save_file(tensors, folder / "written.safetensors", {"format": "pt"})
