"""Makes the files of corpus/: small, each odd or malformed in another way.

Run from anywhere; the committed files are what the tests use, so it need not be run. Images come
from tests/dataloader/data besides; here are only those that no encoder writes. Files named by
hexadecimal digits are inputs that libFuzzer found on its way.
"""

import base64
import gzip
import io
import json
import pathlib
import pickle
import struct
import tarfile
import zlib

CORPUS = pathlib.Path(__file__).parent / "corpus"
IMAGES = CORPUS.parent.parent / "dataloader" / "data"


def save(name, data):
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def tar(members, form, pax=None):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.pax_headers = pax or {}
            archive.addfile(info, io.BytesIO(data))
    content = out.getvalue().rstrip(b"\0")
    return content + b"\0" * (-len(content) % 512) + b"\0" * 1024


def save_tars():
    pair = [("a.jpg", b"image"), ("a.txt", b"a caption")]
    long = [("folder/" + "n" * 120 + ".jpg", b"image"), ("b.txt", b"")]
    save("tar/ustar.tar", tar(pair, tarfile.USTAR_FORMAT))
    save("tar/pax.tar", tar([("d/\u732b.txt", b"x")] + pair, tarfile.PAX_FORMAT))
    save("tar/gnu.tar", tar(long, tarfile.GNU_FORMAT))
    save("tar/long_pax.tar", tar(long, tarfile.PAX_FORMAT))
    save("tar/records.tar", tar(pair[:1], tarfile.PAX_FORMAT, {"comment": "c", "mtime": "1.5"}))
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a.txt",
              "GNU.sparse.realsize": "99"}
    save("tar/sparse.tar", tar([("a", b"1\n0\n5\n" + b"\0" * 506 + b"hello")], tarfile.PAX_FORMAT, sparse))
    save("tar/odd_names.tar", tar([(".hidden", b""), ("d/._a.jpg", b"m"), ("a.jpg", b"1"), ("a.JPG", b"2"),
                                   ("__meta__/x.json", b"{}"), ("no_dot", b"")], tarfile.USTAR_FORMAT))
    whole = tar(pair, tarfile.USTAR_FORMAT)
    save("tar/cut.tar", whole[:1300])
    save("tar/no_end.tar", whole[:-1024])
    save("tar/twice.tar", whole + whole)
    save("tar/gzip.tar.gz", gzip.compress(whole, mtime=0))
    save("tar/cut.tar.gz", gzip.compress(whole, mtime=0)[:-6])
    huge = bytearray(whole[:512])
    huge[124:136] = b"\x80" + b"\0" * 3 + b"\x3f" + b"\xff" * 7
    save("tar/huge.tar", bytes(huge))


def save_images():
    jpeg = bytearray((IMAGES / "baseline.jpg").read_bytes())
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65500, 65500)
    save("image/huge.jpg", bytes(jpeg))
    png = bytearray((IMAGES / "deep.png").read_bytes())
    png[16:24] = struct.pack(">II", 30000, 30000)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    save("image/huge.png", bytes(png))
    save("image/wrapped.jpg", gzip.compress((IMAGES / "gray.jpg").read_bytes(), mtime=0))
    save("image/page.html", b"<html>404</html>")


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def save_safetensors():
    two = {"__metadata__": {"format": "pt"},
           "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
           "b.weight": {"dtype": "BF16", "shape": [1, 3], "data_offsets": [8, 14]}}
    save("safetensors/two.safetensors", safetensors(two, b"\x2a" * 14))
    save("safetensors/empty.safetensors", safetensors({}))
    save("safetensors/short.safetensors", safetensors(two, b"\x2a" * 13))
    overflow = {"a": {"dtype": "F64", "shape": [2**61, 8], "data_offsets": [0, 0]}}
    save("safetensors/overflow.safetensors", safetensors(overflow))
    overlap = {name: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for name in "ab"}
    save("safetensors/overlap.safetensors", safetensors(overlap, b"\0" * 4))
    save("safetensors/huge_length.safetensors", b"\xff" * 8 + b"{}")
    save("safetensors/deep.safetensors", safetensors(b'{"a":' + b"[" * 3000))


def save_indices():
    head = '{"crescendo_index":1,"samples":%d,"shard_bytes":4096}\n'
    sample = '{"key":"%s","members":[["jpg",%d,5,7],["txt",%d,9,4294967295]]}\n'
    two = head % 2 + sample % ("a", 512, 1536) + sample % ("caf\u00e9", 2560, 3584)
    for name, text in {
        "two": two,
        "none": head % 0,
        "cut": two[:-3],
        "more": head % 1 + two[two.index("\n") + 1 :],
        "behind": head % 1 + sample % ("a", 1536, 512),
        "outside": head % 1 + sample % ("a", 512, 4090),
        "overflow": head % 1 + sample % ("a", 512, 2**64 - 1),
        "negative": head % 1 + sample % ("a", -1, 512),
        "deep": head % 1 + '{"key":"a","members":' + "[" * 3000 + "\n",
    }.items():
        save(f"shard_index/{name}", text.encode())


def save_metadata():
    for name, text in {
        "plain.csv": "file_name,text,label\na.jpg,a cat,0\nb.jpg,,dog\n",
        "quoted.csv": '\ufefffile_name,caption,x\r\n"a,b.jpg","two\r\n""lines""",1\r\n\r\nb.jpg,"","2"',
        "open.csv": 'file_name\n"a.jpg\n',
        "behind.csv": '"file_name"x\n',
        "short.csv": "file_name,text\na.jpg\n",
        "plain.jsonl": '{"file_name":"a.jpg","text":"a cat","label":3,"z":[1,null]}\n\n{"file_name":"b.jpg"}\n',
        "cut.jsonl": '{"file_name":"a.jpg"}\n{"file_na',
        "deep.jsonl": '{"file_name":"a.jpg","x":' + "[" * 3000 + "]" * 3000 + "}",
        "numbers.jsonl": '{"file_name":1e999,"text":-0,"label":18446744073709551616}',
    }.items():
        save(f"metadata/{name}", text.encode())
    save("metadata/bad_utf8.jsonl", b'{"file_name":"\xff\xc0"}')


def save_captions():
    for name, text in {
        "lines.txt": "\ufeff first line \r\n\n\u732b\n",
        "empty.txt": " \n\t\n",
        "field.json": '{"a":"a cat\\nand a dog","b":1}',
        "nested.json": '{"a":{"b":"inside"},"a.b":null}',
        "number.json": '{"a":-1.5e3}',
        "truth.json": '{"a":{"b":true}}',
        "surrogate.json": '{"a":"\\ud83d\\ude00 \\ud83d"}',
        "array.json": '["a"]',
        "twice.json": '{"a":"1","a":"2"}',
        "deep.json": '{"a":' + "[" * 3000,
    }.items():
        save(f"caption/{name}", text.encode())
    save("caption/bad_utf8.txt", b"a \xff")


def save_texts():
    patterns = ["train-{000..009}.tar", "{a,b{1,2},c}", "{}x{y}", "{9..0..-4}", "{{a", "a}", "{1..9999999}",
                "{-9223372036854775808..9}", "{a..Z}{,,}"]
    for number, pattern in enumerate(patterns):
        save(f"shard_list/{number}", pattern.encode())
    texts = ["A cat. a cats", "caf\u00e9 \u732b\u732b", "[MASK] [SEP]a[CLS]", "abbbb " * 20, "a" * 120,
             "\u1100\u1161\u11a8 \u0300\u0301"]
    for number, text in enumerate(texts):
        save(f"wordpiece/{number}", text.encode())
    save("wordpiece/bad_utf8", b"a \xff\xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80 cat\xe2\x82")
    merges = ["#version: 0.2\na b\na b</w>\na a\n\nab aab <|endoftext|> AB!! \u00e9", "a b</w>\r\na b\r\n\n\nababab<|StartOfText|>x",
              "a  b\n\na", "a\nb", "a c\n\nac", "a a\na a\n\naaaaaaa", "don't 's ''ll e\u0301 \uac00\u11a7 \u2167 12"]
    for number, text in enumerate(merges):
        save(f"clip/{number}", text.encode())
    save("clip/bad_utf8", b"a b\n\na\xffb \xed\xa0\x80 <|endof\xc3text|> \xc3\xa9\xe2\x82")


def save_paint_requests():
    picture = base64.b64encode((IMAGES / "gray.jpg").read_bytes()).decode()
    client = {"prompt": "a cat", "negative_prompt": "", "styles": [], "seed": -1, "subseed": -1, "subseed_strength": 0,
              "seed_resize_from_h": 0, "seed_resize_from_w": 0, "batch_size": 1, "n_iter": 1, "steps": 20, "cfg_scale": 7.0,
              "width": 64, "height": 64, "restore_faces": False, "tiling": False, "eta": 1.0, "s_churn": 0, "s_noise": 1,
              "override_settings": {}, "sampler_name": "Euler a", "sampler_index": "Euler", "enable_hr": False,
              "script_name": None, "script_args": [], "send_images": True, "alwayson_scripts": {}}
    image = {"init_images": ["data:image/jpeg;base64," + picture], "mask": picture, "inpainting_mask_invert": 1,
             "denoising_strength": 0.4, "resize_mode": 1, "width": 32, "height": 16}
    for name, text in {
        "client": json.dumps(client),
        "image": json.dumps(image),
        "label": '{"label":"cups","scheduler":"Karras","sampler_name":"DPM++ 2M Karras"}',
        "deep": '{"prompt":' + "[" * 3000,
        "settings": '{"override_settings":{"sd_model_checkpoint":"tiny","CLIP_stop_at_last_layers":1}}',
        "numbers": '{"steps":1e999,"seed":18446744073709551616,"width":-0.0,"height":8.0,"cfg_scale":1e-320}',
        "types": '{"prompt":{},"init_images":"x","override_settings":[],"steps":"20"}',
        "twice": '{"steps":1,"steps":2}',
    }.items():
        save(f"paint_request/{name}", text.encode())
    save("paint_request/bad_utf8", b'{"prompt":"\xff\xc0"}')


def save_parameters():
    for name, text in {
        "webui": "a cat,\n(two: 1.2)\nNegative prompt: dog\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, "
                 'Size: 512x768, Model hash: 6ce0161689, Lora hashes: "a: 1, \\"b\\": 2", Version: v1.9.4',
        "fields": "Steps: 1, Sampler: DDIM, Seed: 2",
        "prompt": "Steps: 1, Sampler: DDIM",
        "odd": 'x\r\n\n: 1, Aa:, "b: 2", \u732b\u732b: \u732b, Cc: "open, Dd: "\\u12", Ee: "f"g, :,,',
    }.items():
        save(f"parameters_text/{name}", text.encode())


def save_pickles():
    text = lambda value: b"U" + bytes([len(value)]) + value
    storage = b"((" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu") + b"K\x04tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + b"K\x00K\x02\x85K\x01\x85\x89)tR"
    save("pickle/state", b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(" + text(b"w") + tensor + text(b"v") + b"h\x01u}"
         + text(b"_metadata") + b"h\x00sb.")
    save("pickle/protocol_4", pickle.dumps({"a": [1, 2.5, None, True, "x" * 300], "b": (1, -70000, 1 << 40)}, 4))
    save("pickle/protocol_2", pickle.dumps([{"a": {"b": ((), (1,), (1, 2, 3, 4))}}, -1, 1 << 70], 2))
    save("pickle/call", b"cos\nsystem\n" + text(b"touch here") + b"\x85R.")


def save_arrays():
    def npy(header, data, version=b"\x01\x00"):
        return b"\x93NUMPY" + version + len(header).to_bytes(2 if version[0] == 1 else 4, "little") + header + data
    save("npy/vector", npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n", b"\x2a" * 16))
    save("npy/fortran", npy(b"{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", b"abcdef"))
    save("npy/version_2", npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", b"\0" * 4, b"\x02\x00"))
    save("npy/huge", npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904, 9), }\n", b""))
    save("npy/object", npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", b"cos\nsystem\n"))


if __name__ == "__main__":
    save_tars()
    save_images()
    save_safetensors()
    save_indices()
    save_metadata()
    save_captions()
    save_texts()
    save_paint_requests()
    save_parameters()
    save_pickles()
    save_arrays()
