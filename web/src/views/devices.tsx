export default function View() {
  return <h1>Devices</h1>;
}
