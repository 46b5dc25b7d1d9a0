/**
 * What a person does in Thunderbird, done inside of it: thunderbird-program.ts sends this text with the name of a step and its
 * arguments. It is no module: it runs with the rights of the program, and what it uses is Thunderbird's.
 */
const { MailServices } = ChromeUtils.importESModule('resource:///modules/MailServices.sys.mjs');
const mainWindow = () => Services.wm.getMostRecentWindow('mail:3pane');
const offlineManager = Cc['@mozilla.org/messenger/offline-manager;1'].getService(Ci.nsIMsgOfflineManager);
const msgWindow = () => mainWindow().msgWindow;
const account = () => MailServices.accounts.defaultAccount;
const server = () => account().incomingServer;
const root = () => server().rootFolder;

/** `Work/Letters`, by the names on the server. */
function folderAt(path) {
  let folder = root();
  for (const name of path.split('/')) {
    const next = folder.subFolders.find(
      (one) => decodeURIComponent(one.URI.split('/').pop()) === name || one.name === name,
    );
    if (!next) throw new Error(`there is no folder ${path}`);
    folder = next;
  }
  return folder;
}

const pause = (ms) => new Promise((resolve) => mainWindow().setTimeout(resolve, ms));

async function until(what, check, limitMs = 60_000) {
  const end = Date.now() + limitMs;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`in vain: ${what}`);
    await pause(100);
  }
}

/** Resolves when the url that `start` begins with this listener is done. */
function urlDone(start) {
  return new Promise((resolve, reject) => {
    start({
      QueryInterface: ChromeUtils.generateQI(['nsIUrlListener']),
      OnStartRunningUrl: () => undefined,
      OnStopRunningUrl: (_url, status) =>
        Components.isSuccessCode(status) ? resolve() : reject(new Error(`it failed: 0x${status.toString(16)}`)),
    });
  });
}

function copyDone(start) {
  return new Promise((resolve, reject) => {
    start({
      QueryInterface: ChromeUtils.generateQI(['nsIMsgCopyServiceListener']),
      onStartCopy: () => undefined,
      onProgress: () => undefined,
      setMessageKey: () => undefined,
      getMessageId: () => null,
      onStopCopy: (status) =>
        Components.isSuccessCode(status) ? resolve() : reject(new Error(`it failed: 0x${status.toString(16)}`)),
    });
  });
}

const headersOf = (folder) => [...folder.messages];
const named = (folder, subjects) => {
  const found = headersOf(folder).filter((header) => subjects.includes(header.mime2DecodedSubject));
  if (found.length < subjects.length) throw new Error(`${folder.name} has ${found.length} of ${subjects.join(', ')}`);
  return found;
};
const isHere = (header) => (header.flags & Ci.nsMsgMessageFlags.Offline) !== 0;

const steps = {
  async setUp({ mailbox, password, ports, name, authority }) {
    Cc['@mozilla.org/security/x509certdb;1'].getService(Ci.nsIX509CertDB).addCertFromBase64(authority, 'CTu,CTu,CTu');
    for (const origin of ['imap://localhost', 'smtp://localhost']) {
      const login = Cc['@mozilla.org/login-manager/loginInfo;1'].createInstance(Ci.nsILoginInfo);
      login.init(origin, null, origin, mailbox, password, '', '');
      await Services.logins.addLoginAsync(login);
    }
    const incoming = MailServices.accounts.createIncomingServer(mailbox, 'localhost', 'imap');
    const outgoing = MailServices.outgoingServer.createServer('smtp').QueryInterface(Ci.nsISmtpServer);
    outgoing.hostname = 'localhost';
    outgoing.username = mailbox;
    outgoing.port = ports.submissions;
    incoming.port = ports.imaps;
    for (const one of [incoming, outgoing]) {
      one.socketType = Ci.nsMsgSocketType.SSL;
      one.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
      one.password = password;
    }
    incoming.prettyName = mailbox;
    const identity = MailServices.accounts.createIdentity();
    identity.email = mailbox;
    identity.fullName = name;
    identity.smtpServerKey = outgoing.key;
    const made = MailServices.accounts.createAccount();
    made.addIdentity(identity);
    made.incomingServer = incoming;
    MailServices.accounts.defaultAccount = made;
    incoming.valid = true;
    incoming.performBiff(null);
    await until('folders', () => root().subFolders.length > 5);
    return steps.folders();
  },

  folders() {
    return root().descendants.map((folder) => ({
      path: decodeURIComponent(folder.URI.split('/').slice(3).join('/')),
      shown: folder.localizedName ?? folder.prettyName,
      flags: ['Inbox', 'Drafts', 'SentMail', 'Trash', 'Archive', 'Junk', 'Templates', 'Queue'].filter((name) =>
        folder.getFlag(Ci.nsMsgFolderFlags[name]),
      ),
      messages: folder.getTotalMessages(false),
      unread: folder.getNumUnread(false),
    }));
  },

  async update(path) {
    const folder = folderAt(path).QueryInterface(Ci.nsIMsgImapMailFolder);
    await urlDone((listener) => folder.updateFolderWithListener(msgWindow(), listener));
    return folder.getTotalMessages(false);
  },

  /** Resolves to those that are not here all the same. */
  async downloadAll(path) {
    const folder = folderAt(path);
    folder.setFlag(Ci.nsMsgFolderFlags.Offline);
    await urlDone((listener) => folder.downloadAllForOffline(listener, msgWindow()));
    return headersOf(folder)
      .filter((header) => !isHere(header))
      .map((header) => header.mime2DecodedSubject);
  },

  /** What becomes of a letter: its folder is where it is, `to` another one. */
  async change(path, subjects, change) {
    const folder = folderAt(path);
    const headers = named(folder, subjects);
    if (change.read !== undefined) folder.markMessagesRead(headers, change.read);
    if (change.flagged !== undefined) folder.markMessagesFlagged(headers, change.flagged);
    if (change.tag !== undefined) folder.addKeywordsToMessages(headers, change.tag);
    if (change.untag !== undefined) folder.removeKeywordsFromMessages(headers, change.untag);
    if (change.junk !== undefined) {
      for (const header of headers) header.setStringProperty('junkscore', change.junk ? '100' : '0');
      folder.QueryInterface(Ci.nsIMsgImapMailFolder).storeCustomKeywords(
        msgWindow(),
        change.junk ? '$Junk' : '$NotJunk',
        change.junk ? '$NotJunk' : '$Junk',
        headers.map((header) => header.messageKey),
      );
    }
    if (change.delete)
      await copyDone((listener) => folder.deleteMessages(headers, msgWindow(), false, false, listener, true));
    const copied = change.moveTo ?? change.copyTo;
    if (copied !== undefined)
      await copyDone((listener) =>
        MailServices.copy.copyMessages(
          folder,
          headers,
          folderAt(copied),
          change.moveTo !== undefined,
          listener,
          msgWindow(),
          true,
        ),
      );
  },

  async createFolder(path) {
    const names = path.split('/');
    const name = names.pop();
    const parent = names.length > 0 ? folderAt(names.join('/')) : root();
    parent.createSubfolder(name, msgWindow());
    await until(`folder ${path}`, () => parent.subFolders.some((one) => one.name === name));
  },

  async renameFolder(path, name) {
    const folder = folderAt(path);
    const parent = folder.parent;
    folder.rename(name, msgWindow());
    await until(`folder ${name}`, () => parent.subFolders.some((one) => one.name === name));
  },

  async moveFolder(path, to) {
    await copyDone((listener) =>
      MailServices.copy.copyFolder(folderAt(path), folderAt(to), true, listener, msgWindow()),
    );
  },

  /** For good, as from the bin. */
  async deleteFolder(path) {
    await urlDone((listener) => MailServices.imap.deleteFolder(folderAt(path), listener, msgWindow()));
  },

  /** Subjects that a search finds: on the server, or in what Thunderbird has here. */
  search(path, { attribute, value, onServer }) {
    const folder = folderAt(path);
    const session = Cc['@mozilla.org/messenger/searchSession;1'].createInstance(Ci.nsIMsgSearchSession);
    const scope = onServer ? Ci.nsMsgSearchScope.onlineMail : Ci.nsMsgSearchScope.offlineMail;
    session.addScopeTerm(scope, folder);
    const term = session.createTerm();
    term.attrib = Ci.nsMsgSearchAttrib[attribute];
    const wanted = term.value;
    wanted.attrib = term.attrib;
    wanted.str = value;
    term.value = wanted;
    term.op = Ci.nsMsgSearchOp.Contains;
    term.booleanAnd = true;
    session.appendTerm(term);
    const found = [];
    return new Promise((resolve) => {
      session.registerListener({
        QueryInterface: ChromeUtils.generateQI(['nsIMsgSearchNotify']),
        onSearchHit: (header) => found.push(header.mime2DecodedSubject),
        onSearchDone: () => resolve(found.sort()),
        onNewSearch: () => undefined,
      });
      session.search(msgWindow());
    });
  },

  /** Letters of that subject that come in get a tag and go to a folder. */
  addFilter({ subject, moveTo, tag }) {
    const list = server().getFilterList(msgWindow());
    const filter = list.createFilter(subject);
    const term = filter.createTerm();
    term.attrib = Ci.nsMsgSearchAttrib.Subject;
    term.op = Ci.nsMsgSearchOp.Contains;
    const wanted = term.value;
    wanted.attrib = term.attrib;
    wanted.str = subject;
    term.value = wanted;
    filter.appendTerm(term);
    const act = (type, set) => {
      const action = filter.createAction();
      action.type = type;
      set(action);
      filter.appendAction(action);
    };
    if (tag)
      act(Ci.nsMsgFilterAction.AddTag, (action) => {
        action.strValue = tag;
      });
    if (moveTo)
      act(Ci.nsMsgFilterAction.MoveToFolder, (action) => {
        action.targetFolderUri = folderAt(moveTo).URI;
      });
    filter.enabled = true;
    filter.filterType = Ci.nsMsgFilterType.InboxRule;
    list.insertFilterAt(0, filter);
    list.saveToDefaultFile();
  },

  /** Shows a letter as a person sees it, and gives what is seen. */
  async read(path, subject) {
    const window = mainWindow();
    const tabs = window.document.getElementById('tabmail');
    tabs.switchToTab(0);
    const about3Pane = tabs.currentAbout3Pane;
    const folder = folderAt(path);
    about3Pane.displayFolder(folder.URI);
    const [header] = named(folder, [subject]);
    await until('the folder', () => about3Pane.gDBView?.findIndexOfMsgHdr(header, true) !== 0xffffffff);
    about3Pane.threadTree.selectedIndex = about3Pane.gDBView.findIndexOfMsgHdr(header, true);
    const shownIn = about3Pane.messageBrowser.contentWindow;
    await until('the letter', () => shownIn.gMessage === header && shownIn.msgLoaded);
    return { text: shownIn.getMessagePaneBrowser().contentDocument.body.textContent.trim() };
  },

  /** Of the letter that is shown. */
  async saveAttachment(name, path) {
    const shownIn = mainWindow().document.getElementById('tabmail').currentAbout3Pane.messageBrowser.contentWindow;
    await shownIn.currentAttachments.find((one) => one.name === name).saveToFile(path);
  },

  awaitKeyword(path, subject, keyword) {
    const [header] = named(folderAt(path), [subject]);
    return until(keyword, () => header.getStringProperty('keywords').includes(keyword));
  },

  goOffline() {
    offlineManager.synchronizeForOffline(false, false, false, true, msgWindow());
    return until('offline', () => Services.io.offline);
  },

  async goOnline() {
    offlineManager.goOnline(false, true, msgWindow());
    await until('online', () => !Services.io.offline && !offlineManager.inProgress);
  },
};

globalThis.steps = steps;
