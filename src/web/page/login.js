// Who the page is: asked once when it opens, and a form for a token where one is wanted. The token goes to the daemon and comes
// back as a cookie that no script can read; the page itself keeps nothing.
import { ask, tell } from "./api.js";
import { field, h, put } from "./dom.js";

/** Who we are. `name` is null where nobody is let in without showing something. */
export const session = { name: null, role: null, may_command: true, login: false };

const button = document.getElementById("session");

/** Finds out who we are and opens the page, or asks for a token first. */
export async function begin(main, open) {
  try {
    Object.assign(session, await ask("session"));
  } catch {
    // Nobody answers: the page says so itself, and the daemon judges every command anyway.
    return open();
  }
  const named = session.name !== null && session.name !== "anonymous";
  button.hidden = !session.login;
  button.textContent = named ? "Sign out" : "Sign in";
  if (named) button.title = `${session.name}, role ${session.role}`;
  button.addEventListener("click", () => (named ? leave() : show(main)));
  if (session.name === null) show(main);
  else open();
}

/** Whether we are still somebody; if not, the page begins anew. */
export async function stillKnown() {
  if (session.name === null) return;
  const { name } = await ask("session");
  if (name !== session.name) location.reload();
}

async function leave() {
  await tell("DELETE", "session");
  location.reload();
}

function show(main) {
  document.title = "Sign in · ribwatch";
  button.hidden = true;
  document.querySelector("nav.rooms").hidden = true;
  for (const id of ["live", "search"]) document.getElementById(id).style.visibility = "hidden";
  if (!session.login) {
    return void put(main, h("section", { class: "panel login" }, h("h1", null, "Who are you?"),
      h("p", null, "This daemon wants a client certificate. Give your browser one that it knows, and load the page again.")));
  }
  const token = h("input", { name: "token", type: "password", required: true, autocomplete: "current-password", spellcheck: "false" });
  const said = h("p", { class: "trouble", role: "alert", hidden: true });
  const enter = h("button", { type: "submit", class: "main" }, "Sign in");
  const form = h("form", { class: "panel login" }, h("h1", null, "Sign in"),
    h("p", { class: "dim" }, "This daemon wants to know who you are."),
    field("Token", token, "ribwatch token new makes one; whoever runs the daemon gives it to you."), said, h("div", { class: "buttons" }, enter));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    enter.disabled = true;
    said.hidden = true;
    try {
      await tell("POST", "session", { token: token.value.trim() });
      location.reload();
    } catch (error) {
      said.textContent = `${error.message[0].toUpperCase()}${error.message.slice(1)}.`;
      said.hidden = false;
      enter.disabled = false;
      token.select();
    }
  });
  put(main, form);
  token.focus();
}
