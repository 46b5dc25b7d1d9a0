/** Steps of writing mail; sent behind thunderbird-steps.js, whose functions it uses. */
const composeWindow = () =>
  until('a window to write in', () => {
    const window = Services.wm.getMostRecentWindow('msgcompose');
    return window?.gMsgCompose && window.GetCurrentEditor?.() ? window : null;
  });

/** Resolves when what `start` begins (saving, sending) is over. */
function composed(window, start) {
  return new Promise((resolve, reject) => {
    const listener = (event) => {
      window.removeEventListener('aftersend', listener);
      window.removeEventListener('aftersave', listener);
      Components.isSuccessCode(event.detail)
        ? resolve()
        : reject(new Error(`it failed: 0x${event.detail.toString(16)}`));
    };
    window.addEventListener('aftersend', listener);
    window.addEventListener('aftersave', listener);
    start();
  });
}

/** The window that shows progress may come late, and cancels what is begun next when it goes. */
async function progressGone() {
  await pause(1_000);
  const isOpen = () =>
    [...Services.wm.getEnumerator(null)].some((one) => one.document.documentURI.endsWith('/sendProgress.xhtml'));
  await until('the progress to be over', () => !isOpen());
}

Object.assign(globalThis.steps, {
  /** Opens a window to write in; `files` are paths on this machine. */
  async write({ to, subject, body, files = [], isHtml = true }) {
    const fields = Cc['@mozilla.org/messengercompose/composefields;1'].createInstance(Ci.nsIMsgCompFields);
    fields.to = to;
    fields.subject = subject;
    fields.body = body;
    for (const path of files) {
      const attachment = Cc['@mozilla.org/messengercompose/attachment;1'].createInstance(Ci.nsIMsgAttachment);
      const file = Cc['@mozilla.org/file/local;1'].createInstance(Ci.nsIFile);
      file.initWithPath(path);
      attachment.url = Services.io.newFileURI(file).spec;
      attachment.name = file.leafName;
      attachment.size = file.fileSize;
      fields.addAttachment(attachment);
    }
    const params = Cc['@mozilla.org/messengercompose/composeparams;1'].createInstance(Ci.nsIMsgComposeParams);
    params.composeFields = fields;
    params.type = Ci.nsIMsgCompType.New;
    params.format = isHtml ? Ci.nsIMsgCompFormat.HTML : Ci.nsIMsgCompFormat.PlainText;
    params.identity = MailServices.accounts.defaultAccount.defaultIdentity;
    MailServices.compose.OpenComposeWindowWithParams(null, params);
    await composeWindow();
  },

  /** Adds to what is being written, and saves it among the drafts. */
  async saveDraft(more) {
    const window = await composeWindow();
    window.GetCurrentEditor().endOfDocument?.();
    window.GetCurrentEditor().insertText(more);
    await composed(window, () => window.SaveAsDraft());
    await progressGone();
  },

  async send() {
    const window = await composeWindow();
    await composed(window, () => window.SendMessage());
    await until('the window to close', () => window.closed);
  },

  /** Whether Thunderbird puts a copy of what it sends into the folder of sent mail. */
  keepCopies(keeps) {
    MailServices.accounts.defaultAccount.defaultIdentity.doFcc = keeps;
  },
});
