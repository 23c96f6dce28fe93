// The form that asks for a token, where the endpoint wants one. The browser posts it; no script reads the token.

/**
 * @param {HTMLElement} element  the section
 * @returns {{shown: boolean, show: () => void, hide: () => void}}
 */
export function mount(element) {
  const form = make("form", {method: "post", action: "login"});
  const why = make("p", {id: "login-why", className: "why"});
  why.setAttribute("role", "alert");
  const label = make("label", {htmlFor: "token", textContent: "Token"});
  const field = make("input", {type: "password", name: "token", id: "token", required: true,
    autocomplete: "current-password", spellcheck: false, autocapitalize: "none"});
  field.setAttribute("aria-describedby", "login-why login-help");
  const button = make("button", {type: "submit", textContent: "Log in", className: "main"});
  const help = make("p", {id: "login-help", className: "muted"});
  help.append("On the daemon's machine, ", make("code", {textContent: "netmap-supervisor tokens create NAME --scope read"}),
    " makes one. The browser does not keep it: for seven days it keeps a proof of it, in a cookie that no script can read.");
  // Password managers file a token under a name.
  const name = make("input", {type: "text", autocomplete: "username", value: "netmap", readOnly: true, hidden: true});
  form.append(name, label, field, button);
  element.append(make("h2", {id: "login-title", textContent: "Log in"}), why, form, help);
  return {
    get shown() {
      return !element.hidden;
    },
    show() {
      if (!element.hidden) return;
      element.hidden = false;
      document.documentElement.dataset.login = "yes";
      // The server writes here why it refused the token before.
      why.textContent = document.querySelector('meta[name="login-refused"]')?.content ?? "";
      // To load the page again is not to send the token again.
      if (!location.pathname.endsWith("/")) window.history.replaceState(null, "", "./");
      if (why.textContent) field.setAttribute("aria-invalid", "true");
      field.focus();
    },
    hide() {
      element.hidden = true;
      delete document.documentElement.dataset.login;
    },
  };
}

const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
