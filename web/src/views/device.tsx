export default function View() {
  return <h1>Device</h1>;
}
