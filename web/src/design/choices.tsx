import { useId, type ReactNode } from "react";

/** A few choices that exclude each other, side by side. */
export function Choices<T extends string>({ label, hidden = false, options, value, onChoose }: {
  label: string; hidden?: boolean; options: Readonly<Record<T, string>>; value: T | undefined; onChoose(value: T): void;
}): ReactNode {
  const name = useId();
  return (
    <fieldset className="choices">
      <legend className={hidden ? "unseen" : "label"}>{label}</legend>
      <div>
        {(Object.keys(options) as T[]).map((option) => (
          <label key={option}>
            <input type="radio" name={name} value={option} checked={option === value} onChange={() => onChoose(option)} />
            <span>{options[option]}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
