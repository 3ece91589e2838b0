import type { ComponentChildren } from "preact";

interface Props {
  label: string;
  head: string[];
  /** Those of them that stand above numbers. */
  numbers?: string[];
  /** Its rows. */
  children: ComponentChildren;
}

/** A table that scrolls sideways where it is too wide, by keyboard too. */
export function Table({ label, head, numbers = [], children }: Props) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls sideways is reached by keyboard
    <section class="scroll" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {head.map((title) => (
              <th key={title} scope="col" class={numbers.includes(title) ? "number" : ""}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  );
}
