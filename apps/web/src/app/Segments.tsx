import { count, percent, rateOf, type Segment } from "./insights";

interface SegmentsProps {
  title: string;
  column: string;
  segments: readonly Segment[];
}

/** Who judged how, by one property of the chats. */
export function Segments({ title, column, segments }: SegmentsProps) {
  const highest = Math.max(1, ...segments.map(({ positive, negative }) => positive + negative));
  return (
    <section className="card">
      <h2>{title}</h2>
      {segments.length === 0 ? (
        <p className="empty">Nothing yet.</p>
      ) : (
        <table className="segments">
          <thead className="fb-sr-only">
            <tr>
              <th scope="col">{column}</th>
              <th scope="col">Positive and negative</th>
              <th scope="col">Positive rate</th>
            </tr>
          </thead>
          <tbody>
            {segments.map((segment) => (
              <tr key={segment.key ?? ""}>
                <th scope="row">{segment.key ?? "not known"}</th>
                <td className="segment-bar">
                  <Bar segment={segment} highest={highest} />
                  <span className="fb-sr-only">
                    {count(segment.positive)} positive, {count(segment.negative)} negative
                  </span>
                </td>
                <td className="segment-rate">
                  <strong>{percent(rateOf(segment))}</strong>
                  <small>of {count(segment.positive + segment.negative)}</small>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Bar({ segment, highest }: { segment: Segment; highest: number }) {
  return (
    <span className="bar" aria-hidden="true">
      <i className="bar-positive" style={{ width: `${(segment.positive / highest) * 100}%` }} />
      <i className="bar-negative" style={{ width: `${(segment.negative / highest) * 100}%` }} />
    </span>
  );
}
