export interface Sent {
  /** What went wrong. */
  error: string | null;
  /** What the server said, if it said anything. */
  answer: unknown;
}

/** Says something to the server. */
export async function send(method: "POST" | "PATCH", address: string, body: unknown): Promise<Sent> {
  try {
    const answer = await fetch(address, {
      method,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
    const text = await answer.text();
    return answer.ok ? { error: null, answer: text && JSON.parse(text) } : { error: text.trim(), answer: null };
  } catch (error) {
    return { error: `The server did not answer (${error}). Try again.`, answer: null };
  }
}
