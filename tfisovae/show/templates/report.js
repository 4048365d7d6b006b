"use strict";
// Without this the page shows every picture of a traversal side by side; with it, a slider shows one of them at a time.
document.documentElement.classList.add("js");
for (const walk of document.querySelectorAll(".walk")) {
  const slider = walk.querySelector("input"), said = walk.querySelector(".slide span");
  const texts = slider.dataset.texts.split("|"), last = texts.length - 1;
  const strip = walk.querySelector(".strip"), curves = walk.querySelectorAll(".curve");
  let tile = null;
  // The thumb stands under its picture: a slider's thumb is about 16 pixels wide.
  slider.style.width = strip ? `calc(${100 - 100 / texts.length}% + 16px)` : "100%";
  if (strip) {
    tile = document.createElement("div");
    tile.className = strip.classList.contains("crisp") ? "tile crisp" : "tile";
    tile.setAttribute("role", "img");
    tile.style.backgroundImage = `url("${strip.src}")`;
    tile.style.backgroundSize = `${100 * texts.length}% 100%`;
    tile.style.aspectRatio = `${strip.getAttribute("width") / texts.length} / ${strip.getAttribute("height")}`;
    walk.classList.add("tiled");
    walk.querySelector("h3, h4").after(tile);
  }
  const show = () => {
    const at = Number(slider.value);
    said.textContent = texts[at];
    slider.setAttribute("aria-valuetext", texts[at]);
    if (tile) {
      tile.style.backgroundPosition = `${last ? 100 * at / last : 0}% 0`;
      tile.setAttribute("aria-label", `${slider.getAttribute("aria-label")}: ${texts[at]}`);
    }
    curves.forEach((curve, k) => curve.classList.toggle("on", k === at));
  };
  slider.addEventListener("input", show);
  show();
}
