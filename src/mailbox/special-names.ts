/** What mail programs call the folders that every mailbox has, in the languages of those programs. */

/** Names of folders of mail that waits to be sent. */
export const OUTBOX_NAMES: readonly string[] = [
  ...['Outbox', 'Unsent', 'Unsent Messages', 'Postausgang', "Boîte d'envoi", 'Boîte d’envoi', 'Bandeja de salida'],
  ...[
    'Posta in uscita',
    'Caixa de saída',
    'A enviar',
    'Postvak UIT',
    'Skrzynka nadawcza',
    'Utkorg',
    'Utboks',
    'Udbakke',
  ],
  ...['Lähtevät', 'Pošta k odeslání', 'Odchozí', 'Na odoslanie', 'Postázandó', 'Исходящие', 'Вихідні', 'Giden Kutusu'],
  ...['送信トレイ', '发件箱', '寄件匣', '보낼 편지함', 'Εξερχόμενα', 'De expediat', 'Izlazna pošta'],
];

/**
 * Names of the folders with a use (RFC 6154), by use: what programs make on a server that does not say which folder is for what,
 * or whose word they do not take.
 */
const SPECIAL_NAMES: Readonly<Record<string, readonly string[]>> = {
  '\\Sent': [
    ...['Sent', 'Sent Items', 'Sent Messages', 'Sent Mail', 'Gesendet', 'Gesendete Elemente', 'Gesendete Objekte'],
    ...[
      'Envoyés',
      'Éléments envoyés',
      'Messages envoyés',
      'Enviados',
      'Elementos enviados',
      'Inviata',
      'Posta inviata',
    ],
    ...['Itens enviados', 'Verzonden', 'Verzonden items', 'Wysłane', 'Elementy wysłane', 'Skickat', 'Skickade objekt'],
    ...[
      'Sendt',
      'Sendte elementer',
      'Lähetetyt',
      'Odeslané',
      'Odeslaná pošta',
      'Elküldött',
      'Отправленные',
      'Надіслані',
    ],
    ...[
      'Gönderilmiş Öğeler',
      '送信済み',
      '送信済みアイテム',
      '已发送',
      '已发送邮件',
      '寄件備份',
      '보낸 편지함',
      'Απεσταλμένα',
    ],
  ],
  '\\Drafts': [
    ...['Drafts', 'Draft', 'Entwürfe', 'Brouillons', 'Borradores', 'Bozze', 'Rascunhos', 'Concepten', 'Wersje robocze'],
    ...[
      'Utkast',
      'Kladder',
      'Luonnokset',
      'Koncepty',
      'Rozepsané',
      'Piszkozatok',
      'Черновики',
      'Чернетки',
      'Taslaklar',
    ],
    ...['下書き', '草稿', '草稿箱', '임시 보관함', 'Πρόχειρα'],
  ],
  '\\Trash': [
    ...[
      'Trash',
      'Deleted',
      'Deleted Items',
      'Deleted Messages',
      'Bin',
      'Papierkorb',
      'Gelöschte Elemente',
      'Corbeille',
    ],
    ...[
      'Éléments supprimés',
      'Papelera',
      'Elementos eliminados',
      'Cestino',
      'Posta eliminata',
      'Lixeira',
      'Itens excluídos',
    ],
    ...['Prullenbak', 'Verwijderde items', 'Kosz', 'Elementy usunięte', 'Papperskorg', 'Borttagna objekt', 'Papirkurv'],
    ...['Slettet post', 'Roskakori', 'Koš', 'Odstraněná pošta', 'Kuka', 'Удалённые', 'Корзина', 'Кошик', 'Çöp Kutusu'],
    ...['ゴミ箱', '削除済みアイテム', '已删除', '已删除邮件', '垃圾桶', '휴지통', 'Κάδος'],
  ],
  '\\Junk': [
    ...[
      'Junk',
      'Junk E-mail',
      'Junk Email',
      'Spam',
      'Bulk Mail',
      'Spamverdacht',
      'Unerwünschte Werbung',
      'Indésirables',
    ],
    ...['Courrier indésirable', 'Correo no deseado', 'Posta indesiderata', 'Lixo eletrônico', 'Ongewenste e-mail'],
    ...[
      'Wiadomości-śmieci',
      'Skräppost',
      'Søppelpost',
      'Uønsket post',
      'Roskaposti',
      'Nevyžádaná pošta',
      'Levélszemét',
    ],
    ...['Спам', 'Небажана пошта', 'Önemsiz', '迷惑メール', '垃圾邮件', '垃圾郵件', '스팸', 'Ανεπιθύμητα'],
  ],
  '\\Archive': [
    ...['Archive', 'Archives', 'Archiv', 'Archivo', 'Archivio', 'Arquivo', 'Archief', 'Archiwum', 'Arkiv', 'Arkisto'],
    ...['Archív', 'Архив', 'Архів', 'Arşiv', 'アーカイブ', '归档', '封存', '보관함', 'Αρχείο'],
  ],
};

const uses = new Map(
  Object.entries(SPECIAL_NAMES).flatMap(([use, names]) => names.map((name) => [foldedName(name), use] as const)),
);

/** What a folder of this name is for, by its name alone; null when the name says nothing. */
export function useOfName(name: string): string | null {
  return uses.get(foldedName(name)) ?? null;
}

/** Whether two names are one to people. */
export function sameName(a: string, b: string): boolean {
  return foldedName(a) === foldedName(b);
}

/** A name without case and without the forms of one letter. */
export function foldedName(name: string): string {
  return name.normalize('NFKC').toLowerCase().trim();
}
