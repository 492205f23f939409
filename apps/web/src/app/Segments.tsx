import { count, percent, rateOf, type Segment } from "./insights";

interface SegmentsProps {
  title: string;
  segments: readonly Segment[];
}

/** Who judged how, by one property of the chats. */
export function Segments({ title, segments }: SegmentsProps) {
  const highest = Math.max(1, ...segments.map(({ positive, negative }) => positive + negative));
  return (
    <section className="card">
      <h2>{title}</h2>
      {segments.length === 0 ? (
        <p className="empty">Nothing yet.</p>
      ) : (
        <ul className="segments">
          {segments.map((segment) => (
            <li key={segment.key ?? ""}>
              <span className="segment-key">{segment.key ?? "not known"}</span>
              <span className="segment-rate">
                <strong>{percent(rateOf(segment))}</strong> of {count(segment.positive + segment.negative)}
              </span>
              <span className="fb-sr-only">
                , {count(segment.positive)} positive, {count(segment.negative)} negative
              </span>
              <Bar segment={segment} highest={highest} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Bar({ segment, highest }: { segment: Segment; highest: number }) {
  return (
    <span className="bar" aria-hidden="true">
      <i className="bar-positive" style={{ flexBasis: `${(segment.positive / highest) * 100}%` }} />
      <i className="bar-negative" style={{ flexBasis: `${(segment.negative / highest) * 100}%` }} />
    </span>
  );
}
