// What /widget.js is: a script that gives a page two elements, <parley-chat> and <parley-live>.

import { define } from "./element.js";

const script = document.currentScript;

define(script instanceof HTMLScriptElement ? new URL(script.src).origin : undefined);
