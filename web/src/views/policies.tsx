export default function View() {
  return <h1>Access</h1>;
}
