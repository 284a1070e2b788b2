// What all plots have in common: colours, dashes, layout.

// Okabe and Ito's palette, distinguishable with colour blindness; each curve has its own dash.
export const LIGHT = ["#0072b2", "#d55e00", "#007a5a", "#b0538a", "#8a6000", "#2f7fb0", "#1d2329"];
export const DARK = ["#56b4e9", "#e69f00", "#29c99a", "#e29cc6", "#f0e442", "#8fd0f5", "#e6e9ec"];
export const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];

/** A function that gives the page's colours by their names. */
export function bodyColour() {
  const style = getComputedStyle(document.body);
  return (name) => style.getPropertyValue(name).trim();
}

/** The layout of a panel for Plotly. */
export function panelLayout(colour, title, type = "linear") {
  return {
    margin: { l: 56, r: 12, t: 8, b: 44 },
    height: 260,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), family: "system-ui, sans-serif", size: 12 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    xaxis: {
      title: { text: title },
      gridcolor: colour("--line"),
      zerolinecolor: colour("--line"),
      rangemode: "tozero",
    },
    yaxis: { type, gridcolor: colour("--line"), zerolinecolor: colour("--quiet") },
  };
}

/** Text escaped for Plotly, which interprets some HTML. */
export function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
