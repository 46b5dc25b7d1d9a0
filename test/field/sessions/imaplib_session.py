"""One long session of Python's imaplib: random commands in one connection, and a model of what must be there.

Reads its settings as JSON from standard input and writes what it did and what was wrong as JSON to standard output.
"""
import imaplib
import json
import random
import re
import ssl
import sys
import time

settings = json.load(sys.stdin)
draw = random.Random(settings["seed"])
FOLDERS = ['"Long P"', '"Long P/&APw-ber"']
FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft", "todo", "$Label1"]
FULL = 120
PAUSE_SECONDS = settings["pauseMs"] / 1000
MOST_MISTAKES = 20
IDLE_SECONDS = 0.3

mistakes = []
commands = {}
# By folder, by UID: the token of the letter and its flags.
model = {folder: {} for folder in FOLDERS}
selected = None
letters = 0


def said(name, answer):
    """The data of an answer, which must be OK."""
    commands[name] = commands.get(name, 0) + 1
    kind, data = answer
    if kind != "OK":
        mistakes.append(f"{name} -> {kind} {data}")
    return data


def differ(what, found, expected):
    if found != expected:
        mistakes.append(f"{what}: found {sorted(found)[:20]}, expected {sorted(expected)[:20]}")


def numbers(uid_set):
    found = []
    for piece in uid_set.split(","):
        first, _, last = piece.partition(":")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def select():
    global selected
    selected = draw.choice(FOLDERS)
    count = int(said("SELECT", imap.select(selected))[0])
    if count != len(model[selected]):
        mistakes.append(f"{selected} has {count} messages, expected {len(model[selected])}")


def some(most=6):
    uids = list(model[selected])
    return sorted(draw.sample(uids, min(len(uids), 1 + draw.randrange(most))))


def append():
    global letters
    letters += 1
    folder, token, flags = draw.choice(FOLDERS), f"p{letters}", draw.sample(FLAGS, draw.randrange(3))
    text = f"From: a@acme.test\r\nSubject: {token}\r\nMessage-ID: <{token}@p>\r\n\r\n{'text ' * draw.randrange(400)}\r\n"
    data = said("APPEND", imap.append(folder, f"({' '.join(flags)})", None, text.encode()))
    uid = int(re.search(rb"APPENDUID \d+ (\d+)", data[0]).group(1))
    model[folder][uid] = (token, set(flags))


def fetch(uids=None):
    chosen = some() if uids is None else uids
    if not chosen:
        return
    items = "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
    data = said("FETCH", imap.uid("FETCH", ",".join(map(str, chosen)) if uids is None else "1:*", items))
    found = {}
    for one in data:
        if not isinstance(one, tuple):
            continue
        head = one[0].decode()
        uid = int(re.search(r"UID (\d+)", head).group(1))
        flags = set(re.search(r"FLAGS \(([^)]*)\)", head).group(1).split()) - {"\\Recent"}
        found[uid] = (re.search(rb"Subject: (\S+)", one[1]).group(1).decode(), flags)
    for uid in chosen:
        if found.get(uid) != model[selected][uid]:
            mistakes.append(f"FETCH {uid} in {selected}: {found.get(uid)}, expected {model[selected][uid]}")
    differ("UIDs of FETCH", set(found), set(chosen))


def compare():
    fetch(list(model[selected]))


def store():
    chosen = some()
    if not chosen:
        return
    mode, flags = draw.choice(["+", "-", ""]), set(draw.sample(FLAGS, 1 + draw.randrange(2)))
    silent = draw.choice(["", ".SILENT"])
    said("STORE", imap.uid("STORE", ",".join(map(str, chosen)), f"{mode}FLAGS{silent}", f"({' '.join(flags)})"))
    for uid in chosen:
        token, before = model[selected][uid]
        after = {"+": before | flags, "-": before - flags, "": flags}[mode]
        model[selected][uid] = (token, set(after))


def transfer(name):
    chosen = some()
    if not chosen:
        return
    target = draw.choice([folder for folder in FOLDERS if folder != selected])
    said(name, imap.uid(name, ",".join(map(str, chosen)), target))
    told = imap.response("COPYUID")[1][0].decode().split()
    for source, uid in zip(numbers(told[1]), numbers(told[2]), strict=True):
        token, flags = model[selected][source]
        model[target][uid] = (token, set(flags))
        if name == "MOVE":
            del model[selected][source]


def search():
    flag, criterion = draw.choice([("\\Seen", "SEEN"), ("\\Flagged", "FLAGGED"), ("todo", "KEYWORD todo")])
    data = said("SEARCH", imap.uid("SEARCH", None, criterion))
    expected = {uid for uid, (_, flags) in model[selected].items() if flag in flags}
    differ(criterion, set(map(int, data[0].split())), expected)


def search_subject():
    chosen = some(1)
    if not chosen:
        return
    token = model[selected][chosen[0]][0]
    data = said("SEARCH", imap.uid("SEARCH", None, "SUBJECT", f'"{token}"'))
    expected = {uid for uid, (other, _) in model[selected].items() if token in other}
    differ(f"SUBJECT {token}", set(map(int, data[0].split())), expected)


def expunge():
    chosen = some(20 if len(model[selected]) < FULL else FULL)
    if not chosen:
        return
    said("STORE", imap.uid("STORE", ",".join(map(str, chosen)), "+FLAGS.SILENT", "(\\Deleted)"))
    said("EXPUNGE", imap.expunge())
    for uid in chosen:
        del model[selected][uid]


def noop():
    said("NOOP", imap.noop())


def status():
    folder = draw.choice(FOLDERS)
    data = said("STATUS", imap.status(folder, "(MESSAGES UNSEEN)"))
    found = tuple(map(int, re.search(rb"MESSAGES (\d+) UNSEEN (\d+)", data[0]).groups()))
    unseen = sum("\\Seen" not in flags for _, flags in model[folder].values())
    if found != (len(model[folder]), unseen):
        mistakes.append(f"STATUS {folder}: {found}, expected {(len(model[folder]), unseen)}")


def idle():
    """This version of the library has no command for it."""
    tag = imap._new_tag()
    imap.send(tag + b" IDLE\r\n")
    line = imap.readline()
    while not line.startswith(b"+"):
        line = imap.readline()
    time.sleep(IDLE_SECONDS)
    imap.send(b"DONE\r\n")
    while not line.startswith(tag):
        line = imap.readline()
    said("IDLE", (line.split()[1].decode(), [line]))


ACTIONS = (
    [append] * 12 + [fetch] * 15 + [store] * 18 + [lambda: transfer("COPY")] * 6 + [lambda: transfer("MOVE")] * 8
    + [search] * 6 + [search_subject] * 3 + [noop] * 5 + [status] * 5 + [select] * 5 + [expunge] * 3 + [compare] * 3 + [idle]
)

context = ssl.create_default_context(cafile=settings["caPath"])
imap = imaplib.IMAP4_SSL("localhost", settings["port"], ssl_context=context)
said("LOGIN", imap.login(settings["user"], settings["password"]))
for name in FOLDERS:
    said("CREATE", imap.create(name))
select()
until = time.monotonic() + settings["seconds"]
while time.monotonic() < until and len(mistakes) < MOST_MISTAKES:
    (expunge if len(model[selected]) > FULL else draw.choice(ACTIONS))()
    time.sleep(PAUSE_SECONDS)
for selected in FOLDERS:
    said("SELECT", imap.select(selected))
    compare()
commands["LOGOUT"] = 1
kind, _ = imap.logout()
if kind != "BYE":
    mistakes.append(f"LOGOUT -> {kind}")
left = {folder: [[uid, token, sorted(flags)] for uid, (token, flags) in sorted(model[folder].items())] for folder in FOLDERS}
json.dump({"commands": commands, "mistakes": mistakes, "left": left}, sys.stdout)
