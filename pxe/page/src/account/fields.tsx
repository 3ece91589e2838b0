// What forms of accounts ask for.

import type { Role } from "./caller";

/** Shortest password that the server takes. */
const SHORTEST = 12;

export function Name({ kind }: { kind: "username" | "off" }) {
  return (
    <label>
      Name
      <input name="name" type="text" autocomplete={kind} autocapitalize="none" spellcheck={false} required />
    </label>
  );
}

interface PasswordProps {
  name: string;
  label: string;
  /** What a browser fills in. */
  kind: "current-password" | "new-password";
}

export function Password({ name, label, kind }: PasswordProps) {
  const isNew = kind === "new-password";
  return (
    <label>
      {isNew ? `${label}, ${SHORTEST} characters or more` : label}
      <input name={name} type="password" autocomplete={kind} minLength={isNew ? SHORTEST : undefined} required />
    </label>
  );
}

/** Tells a browser's store of passwords whose these are. */
export function Whose({ name }: { name: string }) {
  return <input type="text" autocomplete="username" value={name} hidden readOnly />;
}

const ROLES: Record<Role, string> = {
  viewer: "viewer: sees the room",
  operator: "operator: acts on machines, too",
  administrator: "administrator: says who may what, too",
};

export function RoleField({ chosen }: { chosen: Role }) {
  return (
    <label>
      Role
      <select name="role">
        {Object.entries(ROLES).map(([value, text]) => (
          <option key={value} value={value} selected={value === chosen}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
