/** Says something to the server; what went wrong comes back as text. */
export async function send(method: "POST" | "PATCH", address: string, body: unknown): Promise<string | null> {
  try {
    const answer = await fetch(address, {
      method,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
    return answer.ok ? null : (await answer.text()).trim();
  } catch (error) {
    return `The server did not answer (${error}). Try again.`;
  }
}
