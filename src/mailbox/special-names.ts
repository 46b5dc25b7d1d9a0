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

/** Whether two names are one to people. */
export function sameName(a: string, b: string): boolean {
  return foldedName(a) === foldedName(b);
}

/** A name without case and without the forms of one letter. */
export function foldedName(name: string): string {
  return name.normalize('NFKC').toLowerCase().trim();
}
