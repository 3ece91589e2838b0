// A text with the numbers of its lines.

import type { RefObject } from "preact";

interface Props {
  label: string;
  text: string;
  /** None: it is only shown. */
  onChange: ((text: string) => void) | null;
  /** Lines where something is wrong, from 1. */
  wrong: Set<number>;
  field: RefObject<HTMLTextAreaElement | null>;
}

export function Editor({ label, text, onChange, wrong, field }: Props) {
  const lines = text.split("\n").length;
  return (
    <div class="editor">
      <pre aria-hidden="true">
        {Array.from({ length: lines }, (_, at) => (
          <span key={at} class={wrong.has(at + 1) ? "error" : ""}>
            {`${at + 1}\n`}
          </span>
        ))}
      </pre>
      <textarea
        ref={field}
        aria-label={label}
        rows={lines}
        wrap="off"
        spellcheck={false}
        autocapitalize="none"
        value={text}
        readOnly={onChange === null}
        onInput={(event) => onChange?.(event.currentTarget.value)}
      />
    </div>
  );
}
