/** Who shares the profile. */
import { useSignal } from "@preact/signals";
import { get, post } from "../../lib/api";
import { Confirm } from "../../lib/confirm";
import { Dialog } from "../../lib/dialog";
import { Form, Input } from "../../lib/form";
import { useLoad } from "../../lib/load";
import { Problem } from "../../lib/problem";
import { session } from "../../lib/session";
import { timeText } from "../../lib/units";

interface Member {
  id: string;
  name: string;
  email: string;
  /** false: an invitation that waits. */
  active: boolean;
  created_at: string;
}

export function Team() {
  const path = `profile/${session.value!.profile}/team`;
  const { value: members, error, reload } = useLoad((signal) => get<Member[]>(path, {}, signal), []);
  const isNew = useSignal(false);
  const invited = useSignal("");
  const deleted = useSignal<Member | null>(null);
  const isFull = session.value?.permission === "full";
  const invite = async ({ email = "" }: Record<string, string>) => {
    await post(path, { email });
    isNew.value = false;
    invited.value = email;
    reload();
  };
  return (
    <>
      <div class="bar">
        <span class="quiet">Members see and change all that is in the profile.</span>
        {isFull && members && <button type="button" class="push primary" onClick={() => (isNew.value = true)}>Invite</button>}
      </div>
      <p class="good" role="status">{invited.value && `If ${invited.value} has an account, it has got an invitation. It lasts seven days.`}</p>
      <Problem error={error} retry={reload} />
      {members?.length === 0 && <p class="empty card">Nobody shares the profile with you. Invite somebody by e-mail.</p>}
      {members && members.length > 0 && (
        <div class="scroll card" tabIndex={0} role="region" aria-label="Team">
          <table class="stacked">
            <thead><tr><th>Name</th><th>E-mail</th><th>Since</th><th><span class="sr">Actions</span></th></tr></thead>
            <tbody>
              {members.map((member) => (
                <tr key={member.id}>
                  <td>{member.name} {!member.active && <span class="badge">invited</span>}</td>
                  <td>{member.email}</td>
                  <td>{timeText(member.created_at)}</td>
                  <td class="actions">
                    {isFull && <button type="button" class="small" aria-label={`Remove ${member.email}`} onClick={() => (deleted.value = member)}>Remove</button>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {isNew.value && (
        <Dialog title="Invite" onClose={() => (isNew.value = false)}>
          <Form send="Invite" onSend={invite}><Input label="E-mail" name="email" type="email" pattern=".+@.+" required autocomplete="off" /></Form>
        </Dialog>
      )}
      <Confirm item={deleted} title="Remove from the team" send="Remove" path={(one) => `${path}/${one.id}`} onDone={reload}>
        {(one) => <p>Remove <strong>{one.email}</strong>? All tokens that this member made end, too.</p>}
      </Confirm>
    </>
  );
}
