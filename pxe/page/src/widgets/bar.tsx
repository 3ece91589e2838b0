/** A bar that is filled to a share between 0 and 1. */
export function Bar({ share, label }: { share: number; label: string }) {
  const percent = Math.min(100, Math.max(0, 100 * share));
  return (
    <div
      class="bar"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.floor(percent)}
    >
      <i style={{ width: `${percent}%` }} />
    </div>
  );
}
