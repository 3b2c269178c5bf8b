/** Gives a file to the person. */

/** Where the pieces of a file go, one after another. */
export interface Sink {
  write: (text: string) => Promise<void>;
  /** The file is complete. */
  close: () => Promise<void>;
  /** The file is not wanted any more. */
  abort: () => Promise<void>;
}

interface Picker {
  showSaveFilePicker?: (options: { suggestedName: string }) => Promise<{ createWritable: () => Promise<Sink> }>;
}

/**
 * Ask where to write a file, where the browser can; else gather it and download it at the end. The browser keeps what
 * is gathered outside of the page's memory. Throws an AbortError if the person does not choose.
 */
export async function sinkFor(name: string, type: string): Promise<Sink> {
  const pick = (window as unknown as Picker).showSaveFilePicker;
  if (pick) {
    const file = await pick.call(window, { suggestedName: name });
    return file.createWritable();
  }
  const parts: Blob[] = [];
  return {
    write: async (text) => void parts.push(new Blob([text])),
    close: async () => download(name, new Blob(parts, { type })),
    abort: async () => void (parts.length = 0),
  };
}

/** Download a file that is complete. */
export function download(name: string, file: Blob): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // Safari begins to read it late
}
