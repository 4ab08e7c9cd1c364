import "./design/index.css";
import "./text/text.css";
import "./conversation/conversation.css";
import "./live/live.css";
import "./app/app.css";

import { createRoot } from "react-dom/client";

import { App } from "./app/app.js";
import { settingsOf } from "./app/settings.js";
import { showTheme } from "./app/theme.js";

showTheme();
createRoot(document.getElementById("app")!).render(<App settings={settingsOf(document)} />);
