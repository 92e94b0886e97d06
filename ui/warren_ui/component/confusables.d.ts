/** Made by confusables.py when the chat is put together: by prototype, the characters that look like it. */
export const CONFUSABLES: Record<string, string>;
