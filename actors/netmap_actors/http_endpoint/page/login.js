// The form that asks for a token, where the endpoint wants one.

/**
 * @param {HTMLElement} element  the section
 * @returns {{show: () => void, hide: () => void}}
 */
export function mount(element) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = "/login";
  const title = document.createElement("h2");
  title.id = "login-title";
  title.textContent = "Log in";
  const label = document.createElement("label");
  label.textContent = "Token";
  const field = document.createElement("input");
  Object.assign(field, {type: "password", name: "token", required: true, autocomplete: "current-password"});
  const button = document.createElement("button");
  button.textContent = "Log in";
  label.append(field);
  form.append(label, button);
  element.append(title, form);
  return {
    show() {
      element.hidden = false;
    },
    hide() {
      element.hidden = true;
    },
  };
}
