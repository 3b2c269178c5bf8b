export default function View() {
  return <h1>Connectors</h1>;
}
