// What the daemon tells as it happens.

import { session } from "./api.js";

/** How long it may be silent: it tells something each second. */
const SILENCE = 6000;
/** How long until the next try where the browser does not try by itself. */
const RETRY = 3000;

/**
 * Follows the stream for ever. `opened` is called each time that it begins,
 * `lost` when it breaks off or falls silent.
 */
export function follow({ opened, lost, pulse, event, alerts }) {
  let watch;
  let source;
  const heard = () => {
    clearTimeout(watch);
    watch = setTimeout(() => {
      lost();
      begin();
    }, SILENCE);
  };
  const begin = () => {
    clearTimeout(watch);
    source?.close();
    source = new EventSource("/v1/stream");
    const on = (name, take) => source.addEventListener(name, (message) => {
      heard();
      take(JSON.parse(message.data));
    });
    source.addEventListener("open", () => {
      heard();
      opened();
    });
    source.addEventListener("error", () => {
      clearTimeout(watch);
      lost();
      source.close();
      // A stream does not say why it was refused.
      session().catch((error) => {
        if (error.status === 401) location.assign("/");
      });
      setTimeout(begin, RETRY);
    });
    on("pulse", pulse);
    on("event", event);
    on("alerts", alerts);
  };
  begin();
}
