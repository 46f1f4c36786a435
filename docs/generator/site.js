// What the theme leaves out for readers without a mouse: the search has a name, and wide tables scroll by the keys.
const complete = () => {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  for (const wide of document.querySelectorAll(".md-typeset__scrollwrap")) wide.tabIndex = 0;
};
// The theme wraps tables once the page is there.
new MutationObserver(complete).observe(document.body, { childList: true, subtree: true });
complete();
