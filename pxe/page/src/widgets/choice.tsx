interface Props {
  label: string;
  value: string;
  onChange: (value: string) => void;
  /** Values, and what stands for them. */
  options: [string, string][];
}

/** One of several, with its label above. */
export function Choice({ label, value, onChange, options }: Props) {
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([value, title]) => (
          <option key={value} value={value}>
            {title}
          </option>
        ))}
      </select>
    </label>
  );
}
