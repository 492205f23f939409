import { ago, type NegativeComment } from "./insights";

interface CommentsProps {
  comments: readonly NegativeComment[];
  now: string;
}

/** The newest negative feedback that says why. */
export function Comments({ comments, now }: CommentsProps) {
  return (
    <section className="card">
      <h2>Latest negative comments</h2>
      {comments.length === 0 ? (
        <p className="empty">No negative comments in this time.</p>
      ) : (
        <ul className="comments">
          {comments.map((comment) => (
            <li key={`${comment.at} ${comment.client_request_id ?? comment.trace_id} ${comment.name}`}>
              <p>{comment.comment}</p>
              <Origin comment={comment} now={now} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Origin({ comment, now }: { comment: NegativeComment; now: string }) {
  const { at, name, value, app_version, region, mlflow_url } = comment;
  return (
    <div className="origin">
      <time dateTime={at} title={new Date(at).toLocaleString()}>
        {ago(at, now)}
      </time>
      <span className="chip">{typeof value === "boolean" ? name : `${name} ${String(value)}`}</span>
      {app_version && <span className="chip">{app_version}</span>}
      {region && <span className="chip">{region}</span>}
      {mlflow_url && (
        <a href={mlflow_url} target="_blank" rel="noreferrer">
          Trace in MLflow<span className="fb-sr-only"> (opens a new tab)</span>{" "}
          <span aria-hidden="true">↗</span>
        </a>
      )}
    </div>
  );
}
