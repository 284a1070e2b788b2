// Requests to the server: JSON answers, and jobs that report progress.

/** The answer as JSON; a refusal becomes an error with the server's message. */
export async function ask(path, signal) {
  const response = await fetch(path, { signal });
  const payload = await response.json().catch(() => ({ error: response.statusText }));
  if (!response.ok) throw new Error(payload.error);
  return payload;
}

/**
 * The result of a job; aborting the signal ends the job.
 * `onProgress` receives { done, of } or { waiting }.
 */
export async function work(path, signal, onProgress) {
  const response = await fetch(path, { signal });
  if (!response.ok) throw new Error((await response.json()).error);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let parts = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    // A result is one long line that arrives in many parts.
    parts.push(value);
    if (!value.includes("\n")) continue;
    const lines = parts.join("").split("\n");
    parts = [lines.pop()];
    for (const line of lines) {
      const message = JSON.parse(line);
      if (message.error) throw new Error(message.error);
      if (message.result) return message;
      onProgress(message);
    }
  }
  throw new Error("the job ended without a result; try again");
}

/** Runs one task at a time; a new task aborts the running one. */
export function newest() {
  let running = new AbortController();
  return {
    async run(task) {
      running.abort();
      const own = new AbortController();
      running = own;
      try {
        return await task(own.signal);
      } catch (error) {
        if (own.signal.aborted) return undefined;
        throw error;
      }
    },
    stop() {
      running.abort();
    },
  };
}
