// Hands the token behind the # and the form's fields to the API and says what it answered.
"use strict";

const said = document.getElementById("said");

async function post(address, body, token) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
  const data = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) {
    const reasons = (data.errors || []).map((error) => error.detail);
    throw new Error(reasons.join(" ") || data.detail || "Something went wrong. Please try again.");
  }
  return data;
}

async function submit(form, work) {
  const button = form.querySelector("button");
  button.disabled = true;
  said.textContent = "";
  try {
    await work(Object.fromEntries(new FormData(form)));
  } catch (error) {
    said.textContent = error.message;
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form[data-post]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(form, async (fields) => {
      await post(form.dataset.post, { token: location.hash.slice(1), ...fields });
      history.replaceState(null, "", location.pathname);
      form.hidden = true;
      said.textContent = form.dataset.done;
    });
  });
}

const begin = document.getElementById("begin");
if (begin) {
  const confirm = document.getElementById("confirm");
  let token = "";
  begin.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(begin, async ({ username, password }) => {
      token = (await post("/api/v1/auth/login", { username, password })).access_token;
      const setup = await post("/api/v1/auth/2fa", { password }, token);
      document.getElementById("qr-code").src = setup.qr_code;
      document.getElementById("secret").textContent = setup.secret;
      begin.hidden = true;
      confirm.hidden = false;
    });
  });
  confirm.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(confirm, async ({ code }) => {
      const made = await post("/api/v1/auth/2fa/confirm", { code }, token);
      document.getElementById("recovery-codes").textContent = made.recovery_codes.join("\n");
      confirm.hidden = true;
      document.getElementById("done").hidden = false;
      await post("/api/v1/auth/logout", {}, token);
    });
  });
}
