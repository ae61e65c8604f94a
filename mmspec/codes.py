"""The table of error codes: one line a code, the same line as in docs/errors.md."""
# ruff: noqa: E501 - one code a line, whatever its length

from __future__ import annotations

from typing import Final

_TABLE = """
| MM001 | file cannot be read | The path is missing, is a folder, or may not be read. |
| MM002 | not UTF-8 text | A spec is UTF-8 text without a byte order mark; save it as UTF-8. |
| MM003 | forbidden character | NUL, control and text-direction characters hide what a spec says; remove them. |
| MM004 | empty spec | The file holds no YAML document; `mmspec new` writes a starter spec. |
| MM005 | several documents | A spec is one YAML document; put each further one in a file of its own. |
| MM006 | YAML syntax | The text is not YAML; the line shown is where reading stopped. |
| MM007 | not a mapping | The top of a spec is a mapping of keys such as `mmspec`, `name` and `streams`. |
| MM008 | duplicate key | A key stands twice in one mapping; both lines are named. Keep one. |
| MM009 | key is not text | Keys are names, so numbers, booleans, nulls, lists and mappings are refused; quote the key if it is meant as text. |
| MM010 | tag refused | YAML tags such as `!!python/object` or `!x` have no meaning in a spec. |
| MM011 | alias refused | An alias names an anchor that does not exist, or one that holds the alias itself. |
| MM012 | merge key refused | `<<` would make keys appear from elsewhere; write the keys out, or alias a whole value. |
| MM013 | too large | The file (1 MiB), its nesting (64), its values (100,000, aliases expanded), a key (200 characters) or the number of parts of one kind (2,000) passes the limit. |
| MM014 | number out of range | Numbers are finite; infinity, not-a-number and numbers too large to hold are refused. |
| MM015 | value cut by a comma | Inside `{...}` or `[...]` a comma ends an unquoted value; quote values such as `"window(before=7, after=7)"`. |
| MM101 | unknown key | The key is not part of the language at this place; often a misspelling. |
| MM102 | missing key | A key that has no default was left out. |
| MM103 | unknown choice | The value is a word, and none of the words allowed here. |
| MM104 | wrong type or range | The value is of another type than the key takes, or outside its range. |
| MM105 | invalid value | The value has the right type but breaks a rule of its key; the message names the rule. |
| MM200 | expression cannot be read | The expression is too long, too deep, or holds a character that no expression uses. |
| MM201 | dimension syntax | A size is a whole number or an expression of names, `+ - * / //`, `min`, `max` and parentheses, such as `4*d`; a factor has decimals and `sqrt` too, such as `1/sqrt(d)`. |
| MM202 | unknown dimension | A name in a size is not declared under `dims`. |
| MM203 | dimension value | A size is a positive whole number below 2**31; `/` must divide exactly. |
| MM210 | quantity | A rate or duration is a number and a unit, such as `100 Hz` or `500 ms`. |
| MM220 | mask syntax | A mask is patterns joined by `~`, `&` and the vertical bar, such as `causal & window(before=15)`. |
| MM221 | unknown mask | No pattern has this name. |
| MM222 | mask arguments | A pattern got an argument that is missing, unknown, given twice or out of range. |
| MM223 | mask pair | A key of a mask by pair reads `text -> image`: queries of text see keys of image. |
| MM230 | claim syntax | A claim is a sentence such as `params <= 5e6`, `pairs(audio) in O(audio)`, `causal(text)` or `no flow from image to text`. |
| MM231 | unknown claim | Claims speak of params, active_params, flops, useful_flops, expected_depth, pairs, causal or flow. |
| MM301 | unknown source | A stream reads a name that is neither a modality nor a stream. |
| MM302 | cycle | Streams read one another in a circle. |
| MM303 | segment twice | Two sources of one sequence bring the same tokens. |
| MM304 | unread modality | No stream reads the modality. |
| MM305 | position does not fit | The position asks for an axis that the modality does not have. |
| MM306 | position and width | The position asks for a width divisible by 2 or 4. |
| MM307 | unread stream | Neither a stream nor a head reads the stream. |
| MM308 | odd rotary width | Rotary positions turn pairs of features, so the head width is even. |
| MM309 | fusion heads | The fusion's heads must divide its width. |
| MM310 | unknown segment | A mask by pair names a segment that the sequence does not hold. |
| MM311 | mask across segments | The pattern speaks of positions, rows, columns, frames or times that the two segments do not both have. |
| MM312 | exit head | Exits by confidence need a classifier that reads the stream. |
| MM313 | exit interval | `every` is larger than the depth, so no exit would be reached before the last block. |
| MM314 | exit readers | A stream with exits is read by its head alone. |
| MM315 | head source | A head reads a name that is no stream. |
| MM316 | contrastive sources | A contrastive head compares two different streams. |
| MM317 | language-model segment | A language-model head needs exactly one tokens segment, or its name. |
| MM318 | tied to no table | A tied head, and a tied modality, read the table of one other embedding: of as many ids, for streams of one width. |
| MM319 | unknown head | An objective names a head that does not exist. |
| MM320 | objective does not fit | The loss or its smoothing does not belong to this kind of head. |
| MM321 | claim names nothing | A claim names what is neither a modality nor a stream. |
| MM322 | heads of masks | Masks by heads are for all the heads together, and heads that share keys share a mask. |
| MM323 | target is an input | A classifier or regressor is trained on the column of its own name, which a modality or a column of a table reads too. |
| MM324 | target is seen | Every row of a language-model head sees the token that it is trained to predict: through a mask that looks ahead (left out, attention is `full`), or through what reads all tokens at once. Positions inside a `prefix` alone carry no loss, and the others do. |
| MM325 | scores across segments | A relative score asks how far apart two tokens are, and those of two segments have no common line; by pair it is said of a segment with itself, of one kind in a stream; layers that share numbers have the same heads. |
| MM326 | key of the whole stream | A variant changes what its layers do; the stream's shape and sources (`from`, `width`, `depth`, `layers`, `repeat`, `like`, `halting`, `final_norm`) are the whole stream's. |
| MM327 | like no stream | `like` names another stream of the spec, and streams are not like one another in a circle. |
| MM328 | order of layers | `layers` names the stream's variants, `NAME*count` for several in a row and `NAME*rest` at most once, no more than the stream is deep, and each at least once. |
| MM329 | entry of a block | An entry of `block` is a sub-layer (`attention`, `cross`, `feed_forward`), alone or as a mapping with one of these words, or several in `parallel`; those of a layer have different names; in parallel none norms the sum, and a shared norm stands before. |
| MM330 | cross of a block | A `cross` reads all tokens of one other stream, by its name; no masks, no relative scores, and keys are normed by the entry's `norm`, if at all. |
| MM331 | lead tokens | Tokens that lead a modality's (`lead`) have names of their own; a head takes one by its name as `pool`, or a token by its id, `marked(2)`, of a stream that it reads; neither packed documents nor weights by modality go with them yet. |
| MM332 | step of a head | A head pools its tokens before what it has goes `through` its steps, or takes them one by one, so no step reads a square of a grid. |
| MM333 | steps of a source | What a source goes `through` is said of a stream that is read, by its name; no step reads a square of a grid, and the last gives as many features as the reading stream is wide. |
| MM401 | mask not compiled yet | The language has this pattern; the compiler cannot build it yet. |
| MM403 | routes of several kinds | The layers of a stream that route have one number of experts and one `balance`: their statistics and losses are the stream's. |
| MM500 | unknown data set | The name is neither a built-in data set nor a file; the message lists both kinds. |
| MM501 | data file cannot be read | A file that a row names is missing, damaged, outside the manifest's folder or of a kind that its column does not take. |
| MM502 | manifest syntax | A manifest is CSV with a header, or JSON lines with one object a row; the line shown is neither. |
| MM503 | missing column | The data has no column named like a head, or like a modality that is not optional. |
| MM504 | missing value | A row has no value for a modality that is not optional, for part of a table or for a regressor. |
| MM505 | value does not fit | A value has another type or shape than its modality or head takes; the message has both. |
| MM506 | not finite | A value holds NaN or infinity, or what is made of it would. |
| MM507 | id out of range | A token, category or class id is negative or not below the number the spec gives. |
| MM508 | unknown label | A held-out row has a label or category that no training row has. |
| MM509 | too many labels | The training rows have more labels or categories than the spec gives. |
| MM510 | empty split | No rows at all, none to train on, or none held out. |
| MM511 | unknown split | A `split` cell says `train` (`training`), or one of the words that hold a row out; the message lists them. |
| MM512 | package missing | Reading this kind of data, or writing this kind of file, needs a package that is not installed; the message names it. |
| MM513 | set not fetched | A data set that no Python package holds is not on this machine, or could not be fetched. |
| MM514 | column nearly named | A column is not read and almost named like one that is missing (`Split` for `split`): rename it. |
| MM601 | output is a file | A package is written into a folder, and a file has its name. |
| MM602 | folder not ours | The folder holds files that mmspec did not write, so it is left alone. |
| MM603 | files cannot be written | The output cannot be created or replaced, for the reason given. |
| MM604 | file exists | `mmspec new` never writes over a file. |
| MM605 | package was edited | A file of the package differs from what mmspec wrote; `--force` replaces it. |
| MM606 | no such step or backend | The steps of a compilation are read, validate, lower, emit and write; the backends of attention auto, tiles and sdpa. |
| MM607 | nothing to verify | `mmspec verify` takes the specs to verify, or `--self-test`. |
| MM608 | no such stream | `--mask` takes a stream of the spec; the message has what there is, or what may have been meant. |
| MM609 | no such picture | A length, a tile or a file's name is none that a picture can have; the message says which can. |
| MM610 | setting out of range | A training setting is outside the range that its message names. |
| MM611 | run exists | The folder holds a run already; `--resume` continues it, `--out` names another. |
| MM612 | run differs | A run goes on with the settings, spec and data it was begun with; the message lists what differs and may not. |
| MM613 | run cannot be read | The folder holds no run, or a file of it is missing, damaged or edited: each is under a digest. |
| MM614 | loss is not finite | A loss or gradient became infinite or not-a-number; the last good checkpoint is kept. |
| MM615 | run in use | Another process trains in this folder. |
| MM616 | nothing to learn | No head has a target in the data, so there is no loss. |
| MM617 | device not available | The device asked for is not there, or torch was built without it. |
| MM618 | length does not fit | `--lengths` names modalities of the spec, each with a whole number of tokens or frames up to its longest. |
| MM619 | output is not finite | The model gives NaN or infinity for a held-out sample, so no figure is made; the message names the head and the sample. |
| MM620 | too large to count | More random blocks than the message says are not looked at one by one, nor pairs of a mask without a closed form. `analyze`, `tune` and `show --mask` leave such figures out, say why, and give the rest; a claim about them is not checked, unless a bound decides it. What can say nothing else stops here. Shorter lengths or fewer blocks are counted. |
| MM621 | nothing to write on | `generate` needs a language-model head, and a prompt that is neither empty nor longer than the model reads. |
| MM622 | checkpoint cannot be read | A checkpoint is safetensors: a file, a folder with `model.safetensors`, or an index of several. A file is missing, damaged or a pickle, which is never read. |
| MM623 | no family fits | The names of a checkpoint's weights, or of a model's, are those of no family that mmspec knows by a table. |
| MM624 | weights do not fit | A tensor of a checkpoint has another shape than the weight that it becomes, or nothing is called as `--leave` says. |
| MM625 | weights of another spec | A file of weights says in its metadata which spec it is of, and is loaded into no other; `mmspec weights` carries over what fits. |
| MM626 | setting has no word | A published model's settings say something that the language cannot say, so no spec is written; the message names the setting. |
| MM627 | no such form | The model cannot be written in the form that was asked for; the message has the reason. |
| MM701 | claim refuted | The model does not keep the claim; the message says what was found instead. |
| MM702 | law refuted | The model breaks a law that every model owes its spec; the smallest input found is shown. |
| MM703 | no such law | `mmspec laws` lists the laws by id. |
| MM704 | examples out of range | The inputs to try for each law are from 1 to 1,000,000; seeds are whole numbers from 0. |
| MM705 | claim not decided | The claim says nothing about this spec, or it could be neither proved nor refuted. |
| MM706 | way not tried | `--require` names a way of attention that this machine or package lacks, or that there is none of. |
| MM707 | proof and trial disagree | A claim was proved, and the compiled model does otherwise: an error of mmspec, which the report describes. |
"""


def _read(table: str) -> dict[str, tuple[str, str]]:
    rows = (line.strip("| ").split(" | ") for line in table.strip().splitlines())
    return {code: (title, explanation) for code, title, explanation in rows}


CODES: Final[dict[str, tuple[str, str]]] = _read(_TABLE)
