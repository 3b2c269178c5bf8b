export default function View() {
  return <h1>Audit log</h1>;
}
