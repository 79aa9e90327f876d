const dialog = document.querySelector("dialog"), content = dialog.querySelector(".content");
for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => {
    content.replaceChildren(button.closest(".pair").cloneNode(true));
    dialog.showModal();
    const figures = [...content.querySelectorAll("figure")], shown = [...button.closest(".pair").children].indexOf(button.closest("figure"));
    figures[shown].scrollIntoView();
  });
}
content.addEventListener("click", (event) => { if (event.target.closest("button")) dialog.close(); });
const openTarget = () => {
  const row = document.getElementById(location.hash.slice(1));
  if (row === null) return;
  dialog.close();
  const details = row.closest("details");
  if (details !== null) details.open = true;
  row.scrollIntoView({ block: "center" });
};
addEventListener("hashchange", openTarget);
content.addEventListener("click", (event) => { if (event.target.closest("a")) { dialog.close(); setTimeout(openTarget); } });
openTarget();
