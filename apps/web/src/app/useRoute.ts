import { type MouseEvent, useCallback, useEffect, useState } from "react";

/** The path that is shown, and what a link does that stays within the page. */
export function useRoute(): [string, (event: MouseEvent<HTMLAnchorElement>) => void] {
  const [path, setPath] = useState(location.pathname);

  useEffect(() => {
    const onPop = () => setPath(location.pathname);
    addEventListener("popstate", onPop);
    return () => removeEventListener("popstate", onPop);
  }, []);

  const follow = useCallback((event: MouseEvent<HTMLAnchorElement>) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    history.pushState(null, "", event.currentTarget.href);
    setPath(location.pathname);
  }, []);

  return [path, follow];
}
