// The theme that was chosen here, before anything is painted.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("ribwatch.theme"); } catch { /* storage may be off */ }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
