import { render } from "preact";
import { App } from "./app";
import { connect } from "./live/connection";

connect();
render(<App />, document.body);
