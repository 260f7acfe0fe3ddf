"""Small random BERT, CLIP and T5 encoders of transformers with their tokenizers, and token ids of many odd strings."""
import copy
import gzip
import importlib.metadata
import io
import json
import re
import string

import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig, BertModel, BertTokenizerFast, CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer)

from reference._strings import LICENSE, NASTY, blocks, strings
from reference._training import train

LENGTH = 12
PROMPTS = ["a smiling face", "red heart, 3 ghosts & a skull on the beach at sunset in winter", "", "Œuvre naïve 日本"]
SENTENCES = [
    "a photo of a cat sitting on a wooden table",
    "the quick brown fox jumps over the lazy dog",
    "smiling face with heart-shaped eyes, sunglasses and tears",
    "a red sports car on the road near the sea at sunset",
    "painting of two people walking in the rain, impressionism",
    "naïve café, œuvre d'art, über groß, niño, 日本語 の 絵, мир",
    "black and white portrait of an old man: 50mm f/1.8 (1990)",
]
BERT_TOKENIZERS = {
    "bert_uncased": {},
    "bert_cased": {"do_lower_case": False},
    "bert_plain": {"do_lower_case": True, "strip_accents": False, "tokenize_chinese_chars": False},
}
T5_CONFIG = {"d_model": 16, "d_kv": 6, "d_ff": 24, "num_layers": 2, "num_heads": 3, "dropout_rate": 0.0}
T5_MODELS = {
    "t5_v1_0": {"feed_forward_proj": "relu"},
    "t5_v1_1": {
        "feed_forward_proj": "gated-gelu",
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 10,
        "tie_word_embeddings": False,
    },
}
# One under the names and with the files of Stable Diffusion 1, the other, like 2, as transformers 5 saves it.
CLIP_MODELS = {
    "clip_published": {"hidden_act": "quick_gelu", "eos_token_id": 2},
    "clip_saved": {"hidden_act": "gelu", "use_attention_mask": True},
}


def write_vocabulary(folder, full):
    """A WordPiece vocabulary of letters and of pieces of SENTENCES; in full, of the letters of all scripts but ideographs."""
    words = [word for sentence in SENTENCES for word in sentence.replace(",", " ").split()]
    words += [word.upper() for word in words[:9]] + ["ＡＢ", "ß", "ss", "i\u0307", "e\u0301", "한", "국", "어"]
    letters = sorted(set(string.printable.strip() + "éïœöñüßбиир日本語絵のмир" + "".join(words)))
    letters += [letter for block in blocks() if len(block) < 5000 for letter in block if letter.isprintable()] if full else []
    pieces = [word[:k] for word in words for k in (2, 3, len(word))] + ["##" + word[k:] for word in words for k in (1, 2, 3)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + letters + ["##" + letter for letter in letters] + pieces
    tokens = list(dict.fromkeys(token for token in tokens if token not in ("", "##")))
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")


def bert_tokenizer(folder, options, full):
    """Writes the files of a tokenizer as hubs hold them, and opens them."""
    folder.mkdir(parents=True)
    write_vocabulary(folder, full)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", **options}) + "\n")
    return BertTokenizerFast.from_pretrained(folder)


def clip_vocabulary():
    """Tokens, in the order of their ids, and merges of words of SENTENCES and of others. A few bytes are left out, to be unknown."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    clip = CLIPTokenizer().backend_tokenizer
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = clip.normalizer, clip.pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=430, end_of_word_suffix="</w>", show_progress=False)
    tokenizer.train_from_iterator(SENTENCES + PROMPTS + [text for text in NASTY if isinstance(text, str) and text.isprintable()], trainer)
    merges = [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]
    letters = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set("òóôõ"))
    return clip_tokens(letters, merges), merges


def clip_published_vocabulary():
    """The one that CLIP was trained with, from the package open_clip_torch, as its tokenizer reads it."""
    file = importlib.metadata.distribution("open_clip_torch").locate_file("open_clip/bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(file.read_bytes()).decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    symbols = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = [chr(symbol) for symbol in symbols] + [chr(256 + index) for index in range(256 - len(symbols))]
    return clip_tokens(letters, merges), merges


def clip_tokens(letters, merges):
    tokens = letters + [letter + "</w>" for letter in letters] + ["".join(merge) for merge in merges]
    return list(dict.fromkeys(tokens)) + ["<|startoftext|>", "<|endoftext|>"]


def clip_tokenizer(folder, name, full):
    """As for BERT; "clip_saved" has the padding of Stable Diffusion 2 and is written by transformers."""
    folder.mkdir(parents=True)
    tokens, merges = clip_published_vocabulary() if full else clip_vocabulary()
    if name == "clip_saved":
        vocabulary = {token: id for id, token in enumerate(tokens)}
        CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token="!", model_max_length=LENGTH).save_pretrained(folder)
        return CLIPTokenizer.from_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({token: id for id, token in enumerate(tokens)}, ensure_ascii=False) + "\n")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges))
    flags = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    roles = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    special = {role: {"content": token, **flags} for role, token in roles.items()} | {"pad_token": "<|endoftext|>"}
    config = {role: {"__type": "AddedToken", **token} if isinstance(token, dict) else token for role, token in special.items()}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer", **config}, indent=2) + "\n")
    return CLIPTokenizer.from_pretrained(folder)


def t5_tokenizer(folder, full):
    """Of 150 pieces of SENTENCES or, in full, of up to 4000 pieces of English and of strings of all scripts."""
    folder.mkdir(parents=True)
    model = io.BytesIO()
    large = full and folder.name == "t5_v1_1"
    corpus = [plain(text) for text in strings(1, 1000)] + LICENSE.read_text().splitlines() if large else SENTENCES * 4
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, vocab_size=4000 if large else 150, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        model_type="unigram", hard_vocab_limit=False, num_threads=1, minloglevel=2)
    (folder / "spiece.model").write_bytes(model.getvalue())
    return T5Tokenizer.from_pretrained(folder)


def plain(text):
    return text if isinstance(text, str) else text.decode("utf-8", errors="replace")


def write_ids(tokenizer, texts, file, ids=None):
    """As one line a string: the ids given, or transformers' and of every tenth string also those cut and padded to a prompt's
    77. What is not UTF-8 is written in hexadecimal digits."""
    rows = [{"text": text} if isinstance(text, str) else {"bytes": text.hex()} for text in texts]
    texts = [plain(text) for text in texts]
    for row, found in zip(rows, ids or tokenizer(texts, verbose=False)["input_ids"], strict=True):
        row["ids"] = found
    if not ids:
        padded = tokenizer(texts[::10], padding="max_length", truncation=True, max_length=77)["input_ids"]
        for row, found in zip(rows[::10], padded, strict=True):
            row["padded"] = found
    file.write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")


def t5_ids(tokenizer, model, texts):
    """transformers' ids; but SentencePiece's own, which T5 was trained with, where transformers departs from it: its normaliser
    loses a mark after a character that is mapped and does not compose long characters, it takes what becomes a name of a
    special token by normalisation for one, and it chooses otherwise among segmentations of equal scores."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    special = {name: id for name, id in tokenizer.get_vocab().items() if re.fullmatch("</s>|<pad>|<unk>|<extra_id_\\d+>", name)}
    split = re.compile("|".join(f"({re.escape(name)})" for name in sorted(special, key=len, reverse=True)))

    def normalised_alike(section):
        theirs = tokenizer.backend_tokenizer.normalizer.normalize_str(section)
        if split.search(theirs):
            return False
        return " ".join(theirs.split()) == " ".join(processor.normalize(section).replace("▁", " ").split())

    def score(ids):
        return sum(processor.get_score(id) for id in ids if id < processor.get_piece_size())

    rows, apart = [], 0
    for text, theirs in zip(map(plain, texts), tokenizer([plain(text) for text in texts], verbose=False)["input_ids"]):
        sections = [section for section in split.split(text.replace("\x85", " ")) if section]
        parts = [[special[section]] if section in special else processor.encode(section) for section in sections]
        rows.append(sum(parts, []) + [tokenizer.eos_token_id])
        if rows[-1] != theirs:
            apart += 1
            if all(section in special or normalised_alike(section) for section in sections):
                assert abs(score(rows[-1]) - score(theirs)) < 1e-3, (text, rows[-1], theirs)
    print(f"T5: transformers departs from SentencePiece in {apart} of {len(texts)} strings")
    return rows


def write_character_classes(folder):
    """What tokenizers does to every character alone: runs of equal classes, [first, class], as character_class() has them."""
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    clean = BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    strip = BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    split = BertPreTokenizer()
    runs = []
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        character = chr(code)
        cleaned = clean.normalize_str(character)
        if cleaned in ("", " "):
            kind = "removed" if cleaned == "" else "space"
        elif len(split.pre_tokenize_str(f"a{character}b")) == 3:
            kind = "punctuation"
        else:
            kind = "mark" if strip.normalize_str(character) == "" else "other"
        if not runs or runs[-1][1] != kind:
            runs.append([code, kind])
    (folder / "character_classes.json").write_text(json.dumps(runs, separators=(",", ":")) + "\n")


def write_word_classes(folder):
    """What CLIP's pattern takes every character for: runs of equal classes, as above; and the lower-case forms that differ."""
    from tokenizers import Regex
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Split

    splits = {kind: Split(Regex(pattern), "removed") for kind, pattern in (("space", r"\s"), ("letter", r"\p{L}"), ("number", r"\p{N}"))}
    runs, lower = [], []
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        character = chr(code)
        kind = next((name for name, split in splits.items() if not split.pre_tokenize_str(character)), "other")
        if not runs or runs[-1][1] != kind:
            runs.append([code, kind])
        lowered = Lowercase().normalize_str(character)
        if lowered != character:
            lower.append([code, *map(ord, lowered)])
    (folder / "word_classes.json").write_text(json.dumps(runs, separators=(",", ":")) + "\n")
    (folder / "lower_case.json").write_text(json.dumps(lower, separators=(",", ":")) + "\n")


def randomise(model):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 + (1 if "norm" in name.lower() and name.endswith("weight") else 0))


def write_weights(model, folder, prefix=""):
    """With a prefix to the names of the weights, the positions are added that older versions of transformers stored."""
    model.save_pretrained(folder)
    if prefix:
        weights = {prefix + name: value for name, value in load_file(folder / "model.safetensors").items()}
        weights[f"{prefix}embeddings.position_ids"] = torch.arange(model.config.max_position_embeddings).unsqueeze(0)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def states_of(model, ids, mask, masked):
    """Unmasked, padding is attended to as any token."""
    return model(input_ids=ids, attention_mask=mask if masked else None).last_hidden_state


def write_gradients(model, tokenizer, folder, masked=True, prefix="", larger=None):
    """The outputs, of padding too, and gradients of PROMPTS. `larger` has one more layer than a CLIP."""
    tokens = tokenizer(PROMPTS, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    ids, mask = tokens["input_ids"], tokens["attention_mask"]
    output = states_of(model.eval(), ids, mask, masked)
    weight = torch.randn_like(output)
    ((output * weight).sum() * 0.1).backward()
    tensors = {"ids": ids, "mask": mask, "output": output, "weight": weight}
    if larger:
        states = larger.eval()(ids, mask if masked else None, output_hidden_states=True).hidden_states[-2]
        tensors["penultimate"] = larger.final_layer_norm(states)
    tensors |= {f"grad.{prefix}{name}": parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / "io.safetensors")


def write_training(model, folder, masked=True, prefix=""):
    def batch_of():
        lengths = torch.randint(1, LENGTH + 1, (4, 1))
        mask = (torch.arange(LENGTH) < lengths).long()
        ids = torch.randint(1, model.config.vocab_size, (4, LENGTH)) * mask
        return {"ids": ids, "mask": mask, "target": torch.randn(4, LENGTH, model.config.hidden_size)}

    def loss_of(batch):
        return torch.nn.functional.mse_loss(states_of(model, batch["ids"], batch["mask"], masked), batch["target"])

    train(folder, model.eval(), batch_of, loss_of, prefix)


def write_bert(tokenizer, folder, pooled):
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24,
        max_position_embeddings=20, type_vocab_size=2)
    model = BertModel(config, add_pooling_layer=pooled)
    randomise(model)
    write_weights(model, folder)
    write_gradients(model, tokenizer, folder)
    if not pooled:  # a pooler has no gradient
        write_training(model, folder)


def write_clip(tokenizer, folder, masked, prefix, changes):
    """As Stable Diffusion 2 has it, without the last layer of a larger one, so that its states are the penultimate ones."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=12, num_hidden_layers=12, num_attention_heads=2,
        max_position_embeddings=20, projection_dim=8, **changes)
    larger = CLIPTextModel(config)
    randomise(larger)
    model = copy.deepcopy(larger)
    del model.encoder.layers[-1]
    model.config.num_hidden_layers -= 1
    write_weights(model, folder, prefix)
    write_gradients(model, tokenizer, folder, masked, prefix, larger)
    write_training(model, folder, masked, prefix)


def write_t5(tokenizer, folder, changes):
    model = T5EncoderModel(T5Config(vocab_size=len(tokenizer) + 4, **T5_CONFIG, **changes))
    randomise(model)
    write_weights(model, folder)
    write_gradients(model, tokenizer, folder)
    write_training(model, folder)


def generate(folder, seed, full):
    torch.manual_seed(seed)
    texts = strings(seed, 10_000 if full else 200)
    write_character_classes(folder)
    write_word_classes(folder)
    for name, options in BERT_TOKENIZERS.items():
        tokenizer = bert_tokenizer(folder / name, options, full)
        write_ids(tokenizer, texts, folder / name / "ids.json")
        if name != "bert_plain":
            write_bert(tokenizer, folder / name, pooled=name == "bert_uncased")
    for name, changes in T5_MODELS.items():
        tokenizer = t5_tokenizer(folder / name, full)
        ids = t5_ids(tokenizer, (folder / name / "spiece.model").read_bytes(), texts)
        write_ids(tokenizer, texts, folder / name / "ids.json", ids)
        write_t5(tokenizer, folder / name, changes)
    for name, changes in CLIP_MODELS.items():
        tokenizer = clip_tokenizer(folder / name, name, full)
        write_ids(tokenizer, texts, folder / name / "ids.json")
        published = name == "clip_published"
        write_clip(tokenizer, folder / name, not published, "text_model." if published else "", changes)
