// The address that `sipguard dashboard` prints has the token behind the #.
const [, token] = /^#token=([0-9a-f]{64})$/i.exec(location.hash) ?? [];
if (location.pathname === "/login") {
  // The answer to a form with a wrong one.
  document.getElementById("wrong").hidden = false;
  history.replaceState(null, "", "/");
} else if (token) {
  history.replaceState(null, "", location.pathname);
  document.getElementById("token").value = token;
  document.querySelector("form").submit();
}
